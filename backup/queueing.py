"""Puts a backup on the queue, in the transaction of what makes it wanted."""

from sqlalchemy import Connection

from ..platform.jobs.app import BACKUP, defer_in

TENANT_TASK = "backup.tenant"
CONTROL_TASK = "backup.control"


def queue_backup(conn: Connection, tenant_id: str | None) -> None:
    """Queue the backup of a tenant (None: of the control database), unless it waits already."""
    name = f"backup {tenant_id or 'control'}"
    if tenant_id is None:
        defer_in(conn, CONTROL_TASK, lock=name, queueing_lock=name, queue=BACKUP)
    else:
        defer_in(conn, TENANT_TASK, lock=name, queueing_lock=name, queue=BACKUP, tenant_id=tenant_id)
