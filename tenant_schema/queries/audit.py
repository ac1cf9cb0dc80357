"""The workspace's own audit log: it only grows, and it is written in the transaction of the change that it tells of."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, exists, insert, select

from ..ids import new_uuid7
from ..tables import audit_event

_INSERT = insert(audit_event)


def record(
    conn: Connection,
    actor_id: UUID | None,
    action: str,
    object_type: str | None = None,
    object_id: UUID | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Add one event, such as `expense.created`. `actor_id` is the member, None for the platform itself.

    `detail` is JSON in clear text: ids, states, amounts and roles, never a name, an e-mail address or a note.
    """
    row = {
        "id": new_uuid7(),
        "actor_id": actor_id,
        "action": action,
        "object_type": object_type,
        "object_id": object_id,
        "detail": dict(detail or {}),
    }
    conn.execute(_INSERT, row)


def is_noted(conn: Connection, action: str, since: datetime, detail: Mapping[str, object]) -> bool:
    """Say whether an event of this action, with at least this `detail`, has been recorded since a time."""
    columns = audit_event.c
    noted = exists().where(columns.action == action, columns.at >= since, columns.detail.contains(dict(detail)))
    return bool(conn.execute(select(noted)).scalar_one())
