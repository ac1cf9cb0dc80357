"""What the audit log tells about one object, for its timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from ..tables import audit_event


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `actor_id` of None: the platform itself."""

    at: datetime
    actor_id: UUID | None
    action: str
    detail: dict[str, Any]


def of(conn: Connection, object_ids: Sequence[UUID], limit: int = 100) -> list[Event]:
    """What happened to these objects, newest first."""
    a = audit_event.c
    statement = (
        select(a.at, a.actor_id, a.action, a.detail)
        .where(a.object_type.in_(("expense", "report")), a.object_id.in_(object_ids))
        .order_by(a.at.desc(), a.id.desc())
        .limit(limit)
    )
    return [Event(*row) for row in conn.execute(statement)]
