"""SQL of the catalogue of backups (table `backup` of the control database).

Each change names the state it starts from, so a process that was given up for dead cannot overrule what was recorded
since. Transactions are the caller's.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Executable,
    func,
    or_,
    select,
    tuple_,
    update,
)

from ..config.errors import NotFoundError
from ..platform.control.tables import backup, tenant
from .due import CLOCK_ERROR
from .fingerprint import Fingerprint
from .header import Descriptor
from .records import Backup, BackupState

LONGEST_LEASE = timedelta(hours=1)  # leases last minutes
_RECORD = select(
    backup.c.id,
    backup.c.tenant_id,
    tenant.c.slug.label("tenant_slug"),
    backup.c.kind,
    backup.c.state,
    backup.c.unchanged_since,
    backup.c.placement_id,
    backup.c.schema_revision,
    backup.c.object,
    backup.c.bytes.label("size"),
    backup.c.sha256,
    backup.c.fingerprint,
    backup.c.manifest,
    backup.c.receipts,
    backup.c.failure,
    backup.c.lease_until,
    backup.c.started_at,
    backup.c.finished_at,
    backup.c.verified_at,
    backup.c.receipts_lost,
).select_from(backup.outerjoin(tenant, backup.c.tenant_id == tenant.c.id))


def begin(
    conn: Connection,
    backup_id: str,
    *,
    tenant_id: str | None,
    placement_id: str | None,
    object_name: str,
    started_at: datetime,
    lease_until: datetime,
) -> None:
    """Record a backup as running, before its first byte."""
    conn.execute(
        backup.insert().values(
            id=backup_id,
            tenant_id=tenant_id,
            kind="tenant" if tenant_id else "control",
            state=BackupState.RUNNING,
            placement_id=placement_id,
            object=object_name,
            started_at=started_at,
            lease_until=lease_until,
        )
    )


def renew_lease(conn: Connection, backup_id: str, lease_until: datetime) -> bool:
    """Say that the process at work is alive; return False if the backup is no longer running."""
    return _advance(conn, backup_id, (BackupState.RUNNING,), lease_until=lease_until)


def mark_stored(
    conn: Connection, backup_id: str, descriptor: Descriptor, fingerprint: Fingerprint | None, finished_at: datetime
) -> bool:
    """Record that the object is durable. Returns False if the backup was given up in the meantime."""
    return _advance(
        conn,
        backup_id,
        (BackupState.RUNNING,),
        state=BackupState.STORED,
        schema_revision=descriptor.header.schema_revision,
        bytes=descriptor.size,
        sha256=descriptor.sha256,
        fingerprint=fingerprint,
        manifest=descriptor.manifest.to_json(),
        receipts=len(descriptor.receipts),
        receipts_lost=len(descriptor.lost),
        finished_at=finished_at,
        lease_until=None,
    )


def mark_unchanged(conn: Connection, backup_id: str, of: Backup, finished_at: datetime) -> bool:
    """Record that the database is as it was in `of`, so there is no new object."""
    return _advance(
        conn,
        backup_id,
        (BackupState.RUNNING,),
        state=BackupState.UNCHANGED,
        unchanged_since=of.id,
        schema_revision=of.schema_revision,
        object=None,
        finished_at=finished_at,
        lease_until=None,
    )


def mark_verified(conn: Connection, backup_id: str, verified_at: datetime) -> bool:
    """Record that a restore has reproduced the manifest, also of a backup that failed an earlier verification."""
    return _advance(
        conn,
        backup_id,
        (BackupState.STORED, BackupState.VERIFIED, BackupState.FAILED),
        state=BackupState.VERIFIED,
        verified_at=verified_at,
        failure=None,
    )


def mark_failed(
    conn: Connection, backup_id: str, sentence: str, finished_at: datetime, states: Sequence[BackupState]
) -> bool:
    """Record why a backup that is in one of `states` counts for nothing."""
    return _advance(
        conn,
        backup_id,
        states,
        state=BackupState.FAILED,
        failure=sentence,
        finished_at=func.coalesce(backup.c.finished_at, finished_at),
        lease_until=None,
    )


def forget(conn: Connection, backup_id: str) -> None:
    """Remove an entry."""
    conn.execute(backup.delete().where(backup.c.id == backup_id))


def by_id(conn: Connection, backup_id: str) -> Backup:
    """Return an entry. Raises `NotFoundError`."""
    found = _records(conn, _RECORD.where(backup.c.id == backup_id))
    if not found:
        raise NotFoundError(f"There is no backup “{backup_id[:80]}”; `strongroom backup list` shows them.")
    return found[0]


def by_ids(conn: Connection, backup_ids: Sequence[str]) -> list[Backup]:
    """Return those of these entries that there are."""
    return _records(conn, _RECORD.where(backup.c.id.in_(backup_ids)))


def newest(conn: Connection, tenant_id: str | None, states: Sequence[BackupState]) -> Backup | None:
    """Return the newest backup of a tenant (None: of the control database) that is in one of `states`.

    One that a wrong clock has dated into the future is older than all others.
    """
    query = _RECORD.where(_of(tenant_id), backup.c.state.in_(states))
    query = query.order_by(backup.c.started_at > func.now() + CLOCK_ERROR, backup.c.started_at.desc()).limit(1)
    return next(iter(_records(conn, query)), None)


def listing(
    conn: Connection, tenant_id: str | None = None, limit: int = 1000, before: Backup | None = None
) -> list[Backup]:
    """Return at most `limit` backups, newest first: those of one tenant, or all with those of the control database.

    `before`: only those that come after this one in that order.
    """
    query = _RECORD if tenant_id is None else _RECORD.where(_of(tenant_id))
    if before is not None:
        query = query.where(tuple_(backup.c.started_at, backup.c.id) < tuple_(before.started_at, before.id))
    return _records(conn, query.order_by(backup.c.started_at.desc(), backup.c.id.desc()).limit(limit))


def in_states(conn: Connection, states: Sequence[BackupState], tenant_id: str | None = None) -> list[Backup]:
    """Return the backups that are in one of `states`, oldest first: of one tenant, or all."""
    query = _RECORD if tenant_id is None else _RECORD.where(_of(tenant_id))
    return _records(conn, query.where(backup.c.state.in_(states)).order_by(backup.c.started_at))


def expired(conn: Connection, now: datetime) -> list[Backup]:
    """Return the running backups whose process has not renewed its lease.

    Nobody takes a lease that long: one that ends much later was written by a clock that was ahead.
    """
    over = or_(backup.c.lease_until < now, backup.c.lease_until > now + LONGEST_LEASE)
    return _records(conn, _RECORD.where(backup.c.state == BackupState.RUNNING, over))


def object_names(conn: Connection) -> set[str]:
    """Return the names of all dump objects that an entry speaks of."""
    return set(conn.scalars(select(backup.c.object).where(backup.c.object.is_not(None))))


def forget_object(conn: Connection, backup_id: str) -> None:
    """Record that nothing is left in the stores of a backup that failed before it was whole."""
    _advance(conn, backup_id, (BackupState.FAILED,), object=None)


def unfinished(conn: Connection) -> list[Backup]:
    """Return the failed backups that were never whole, and may have left something in a store."""
    left = backup.c.state == BackupState.FAILED, backup.c.object.is_not(None), backup.c.bytes.is_(None)
    return _records(conn, _RECORD.where(*left).order_by(backup.c.started_at))


def _advance(conn: Connection, backup_id: str, states: Sequence[BackupState], **values: object) -> bool:
    query = update(backup).where(backup.c.id == backup_id, backup.c.state.in_(states)).values(**values)
    return conn.execute(query).rowcount == 1


def _of(tenant_id: str | None) -> Any:
    return backup.c.tenant_id == tenant_id if tenant_id else backup.c.kind == "control"


def _records(conn: Connection, query: Executable) -> list[Backup]:
    return [
        Backup(**{**row, "state": BackupState(row["state"])})  # pyright: ignore[reportArgumentType]  # as selected
        for row in conn.execute(query).mappings()
    ]
