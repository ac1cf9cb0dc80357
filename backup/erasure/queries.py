"""SQL of erasures: their rows, and what of an erased account the control database gives up.

Transactions are the caller's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from ...platform.control.tables import alarm, backup, backup_copy, erasure, forgotten_person, operator_audit, tenant
from .records import Document, Erasure

_ERASURE = select(
    erasure.c.tenant_id,
    erasure.c.step,
    erasure.c.operator,
    erasure.c.requested_at,
    erasure.c.finished_at,
    erasure.c.detail,
    erasure.c.certificate,
)


def begin(conn: Connection, tenant_id: str, operator: str, detail: Document) -> Erasure:
    """Write the row of an erasure."""
    conn.execute(insert(erasure).values(tenant_id=tenant_id, step="", operator=operator, detail=detail))
    found = find(conn, tenant_id)
    assert found is not None, "it was just written"
    return found


def find(conn: Connection, tenant_id: str) -> Erasure | None:
    """Return the erasure of a tenant, finished or not; None if there is none."""
    return next(iter(_erasures(conn, _ERASURE.where(erasure.c.tenant_id == tenant_id))), None)


def newest_of(conn: Connection, word: str) -> Erasure | None:
    """Return the finished erasure of the last account that had `word` as its slug."""
    slug = erasure.c.certificate["account"]["slug"].astext
    query = _ERASURE.where(erasure.c.finished_at.is_not(None), slug == word)
    return next(iter(_erasures(conn, query.order_by(erasure.c.finished_at.desc()).limit(1))), None)


def unfinished(conn: Connection) -> list[Erasure]:
    """Return the erasures that have not come to their end, the oldest first."""
    return _erasures(conn, _ERASURE.where(erasure.c.finished_at.is_(None)).order_by(erasure.c.requested_at))


def finished_since(conn: Connection, moment: datetime) -> list[str]:
    """Return the ids of the tenants whose erasure ended at `moment` or later."""
    return list(conn.scalars(select(erasure.c.tenant_id).where(erasure.c.finished_at >= moment)))


def promises(conn: Connection) -> list[tuple[datetime, datetime]]:
    """Return of each certificate when it was signed, and when it says that the last key of the log is destroyed."""
    promised = erasure.c.certificate["last_log_key_destroyed_at"].astext
    rows = conn.execute(select(erasure.c.finished_at, promised).where(erasure.c.finished_at.is_not(None)))
    return [(finished, datetime.fromisoformat(until)) for finished, until in rows if until]


def keep_detail(conn: Connection, tenant_id: str, detail: Document, step: str | None = None) -> None:
    """Record what was found so far, and the step that is done by now, if one is."""
    values: dict[str, Any] = {"detail": detail} | ({"step": step} if step else {})
    conn.execute(update(erasure).where(erasure.c.tenant_id == tenant_id).values(values))


def finish(conn: Connection, tenant_id: str, certificate: Mapping[str, Any], finished_at: datetime) -> None:
    """Keep the certificate; what the steps had found stands in it."""
    values = {"certificate": dict(certificate), "finished_at": finished_at, "detail": {}}
    conn.execute(update(erasure).where(erasure.c.tenant_id == tenant_id).values(values))


def backups_of(conn: Connection, tenant_id: str) -> dict[str, Document]:
    """Return what the catalogue knows of the tenant's dumps, by the name of the object."""
    columns = backup.c.object, backup.c.id, backup.c.sha256, backup.c.bytes
    rows = conn.execute(select(*columns).where(backup.c.tenant_id == tenant_id, backup.c.object.is_not(None)))
    return {row.object: {"backup": row.id, "sha256": row.sha256, "bytes": row.bytes} for row in rows}


def stores_of(conn: Connection, tenant_id: str) -> list[str]:
    """Return the names of the stores that copies of the tenant's backups were given to."""
    ids = select(backup.c.id).where(backup.c.tenant_id == tenant_id)
    rows = conn.scalars(select(backup_copy.c.store).where(backup_copy.c.backup_id.in_(ids)).distinct())
    return sorted(str(name) for name in rows)


def copied_into(conn: Connection, tenant_id: str) -> list[str]:
    """Return the ids of the workspaces that were made from this one and are there."""
    made = select(operator_audit.c.tenant_id).where(
        operator_audit.c.action == "tenant.copied", operator_audit.c.detail["source"].astext == tenant_id
    )
    query = select(tenant.c.id).where(tenant.c.id.in_(made), tenant.c.state != "erased").order_by(tenant.c.id)
    return [str(one) for one in conn.scalars(query)]


def remove_rows(conn: Connection, tenant_id: str, slug: str) -> dict[str, int]:
    """Remove the rows that tell of a tenant's backups, people, jobs and alarms; return how many of each."""
    queue = text("""
        DELETE FROM procrastinate_jobs
        WHERE status <> 'doing' AND (args ->> 'tenant_id' = :tenant_id OR lock IN (:lock, :backup_lock))
    """)
    locks = {"tenant_id": tenant_id, "lock": f"tenant:{tenant_id}", "backup_lock": f"backup {tenant_id}"}
    about = or_(alarm.c.subject == tenant_id, alarm.c.subject == slug)
    return {
        "backup": conn.execute(backup.delete().where(backup.c.tenant_id == tenant_id)).rowcount,
        "forgotten_person": conn.execute(
            forgotten_person.delete().where(forgotten_person.c.tenant_id == tenant_id)
        ).rowcount,
        "alarm": conn.execute(alarm.delete().where(about)).rowcount,
        "job": conn.execute(queue, locks).rowcount,
    }


def forget_people(conn: Connection, tenant_id: str, ids: Sequence[UUID], operator: str) -> None:
    """Record that the people of these ids are to be forgotten in whatever is restored. Idempotent."""
    rows = [{"tenant_id": tenant_id, "member_id": one, "operator": operator} for one in ids]
    conn.execute(insert(forgotten_person).on_conflict_do_nothing(), rows)


def forgotten(conn: Connection, tenant_id: str) -> list[UUID]:
    """Return the ids of the people who were erased from a workspace."""
    query = select(forgotten_person.c.member_id).where(forgotten_person.c.tenant_id == tenant_id)
    return list(conn.scalars(query.order_by(forgotten_person.c.member_id)))


def now(conn: Connection) -> datetime:
    """Return the control database's time."""
    return conn.execute(select(func.clock_timestamp())).scalar_one()


def _erasures(conn: Connection, query: Select[*tuple[Any, ...]]) -> list[Erasure]:
    return [Erasure(*row) for row in conn.execute(query)]
