"""SQL about where each backup lies (table `backup_copy` of the control database). Transactions are the caller's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Update, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..platform.control.tables import backup, backup_copy, tenant
from .records import BackupState

STORED, PENDING, FAILED = "stored", "pending", "failed"
_WHOLE = (BackupState.STORED, BackupState.VERIFIED)


@dataclass(frozen=True, slots=True)
class Missing:
    """A backup that a store is to get. `attempts`: how often that failed."""

    backup_id: str
    attempts: int


def record(conn: Connection, backup_id: str, stored_in: str, pending_in: Sequence[str]) -> None:
    """Record where a new backup lies, and where it is to be copied."""
    rows = [_row(backup_id, name, PENDING) for name in pending_in]
    conn.execute(insert(backup_copy), [_row(backup_id, stored_in, STORED), *rows])
    conn.execute(
        update(backup_copy)
        .where(backup_copy.c.backup_id == backup_id, backup_copy.c.state == STORED)
        .values(stored_at=func.now())
    )


def add_missing(conn: Connection, store: str, region: str, now: datetime) -> int:
    """Record that a store is to get what it lacks: it was added later. An empty `region` takes all."""
    wanted = (
        select(backup.c.id, literal(store), literal(PENDING), literal(now))
        .select_from(backup.outerjoin(tenant, tenant.c.id == backup.c.tenant_id))
        .where(backup.c.state.in_(_WHOLE), backup.c.object.is_not(None))
    )
    if region:
        wanted = wanted.where(or_(tenant.c.id.is_(None), tenant.c.region_id == region))
    query = (
        insert(backup_copy).from_select(["backup_id", "store", "state", "next_try_at"], wanted).on_conflict_do_nothing()
    )
    return conn.execute(query).rowcount


def due(conn: Connection, store: str, now: datetime) -> list[Missing]:
    """Return what a store is to get now, the newest first: it is what would be restored."""
    query = (
        select(backup_copy.c.backup_id, backup_copy.c.attempts)
        .join(backup, backup.c.id == backup_copy.c.backup_id)
        .where(backup_copy.c.store == store, backup_copy.c.state != STORED, backup_copy.c.next_try_at <= now)
        .where(backup.c.state.in_(_WHOLE))
        .order_by(backup.c.started_at.desc())
    )
    return [Missing(*row) for row in conn.execute(query)]


def mark_stored(conn: Connection, backup_id: str, store: str, now: datetime) -> None:
    """Record that object, descriptor and receipts are durable in the store."""
    conn.execute(_of(backup_id, store).values(state=STORED, stored_at=now, failure=None))


def mark_failed(conn: Connection, backup_id: str, store: str, sentence: str, next_try_at: datetime) -> None:
    """Record why a backup could not be copied to the store, and when that is tried again."""
    values = {"state": FAILED, "failure": sentence, "next_try_at": next_try_at}
    conn.execute(_of(backup_id, store).values(**values, attempts=backup_copy.c.attempts + 1))


def stores_with(conn: Connection, backup_id: str) -> set[str]:
    """Return the names of the stores that have a backup."""
    query = select(backup_copy.c.store).where(backup_copy.c.backup_id == backup_id, backup_copy.c.state == STORED)
    return set(conn.scalars(query))


def _of(backup_id: str, store: str) -> Update:
    return update(backup_copy).where(backup_copy.c.backup_id == backup_id, backup_copy.c.store == store)


def _row(backup_id: str, store: str, state: str) -> dict[str, str]:
    return {"backup_id": backup_id, "store": store, "state": state}
