"""SQL about copies of backups in the stores, as far as they are read again. The caller owns the transaction."""

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert

from ..config.settings import Settings
from ..platform.control.tables import backup, backup_copy
from ..platform.tenants import queries as tenants
from . import catalogue
from .records import Backup, BackupState

CHECKABLE = (BackupState.STORED, BackupState.VERIFIED)


@dataclass(frozen=True, slots=True)
class Copy:
    """A backup in one store, and when it was last read there."""

    backup: Backup
    store: str
    checked_at: datetime | None = None


def copies(conn: Connection, settings: Settings, slug: str | None = None) -> list[Copy]:
    """Return the good copies in the stores that the settings name, by workspace, store and time.

    A backup of which no copy is known lies in the first store. Raises `NotFoundError`.
    """
    tenant_id = tenants.by_slug(conn, slug).id if slug else None
    known = {one.id: one for one in catalogue.in_states(conn, CHECKABLE, tenant_id)}
    described = {store.name for store in settings.backup_stores}
    columns = backup_copy.c.backup_id, backup_copy.c.store, backup_copy.c.state, backup_copy.c.checked_at
    listed = [tuple(row) for row in conn.execute(select(*columns)) if row[0] in known]
    good = [row for row in listed if row[2] == "stored" and row[1] in described]
    first = settings.backup_stores[0].name
    found = [Copy(known[backup_id], store, checked_at) for backup_id, store, _, checked_at in good]
    found += [Copy(known[backup_id], first) for backup_id in known.keys() - {row[0] for row in listed}]
    return sorted(found, key=lambda copy: (copy.backup.label, copy.store, copy.backup.id))


def longest_unchecked(
    conn: Connection, settings: Settings, before: datetime, turns: int
) -> AbstractSet[tuple[str | None, str]]:
    """Return the workspaces (None: control database) and stores of which nothing was read since `before`.

    As many as it takes to come round in `turns` turns, the longest unchecked first.
    """
    store = func.coalesce(backup_copy.c.store, literal(settings.backup_stores[0].name))
    checked = func.max(backup_copy.c.checked_at)
    query = (
        select(backup.c.tenant_id, store, checked)
        .select_from(backup.outerjoin(backup_copy, backup_copy.c.backup_id == backup.c.id))
        .where(backup.c.state.in_(CHECKABLE))
        .group_by(backup.c.tenant_id, store)
        .order_by(checked.nulls_first(), func.min(backup.c.started_at))
    )
    rows = [tuple(row) for row in conn.execute(query)]
    due = [(tenant_id, name) for tenant_id, name, at in rows if at is None or at < before]
    return set(due[: math.ceil(len(rows) / turns)])


def mark_checked(conn: Connection, copy: Copy, now: datetime) -> None:
    """Record that a copy was read and is good, whatever was thought of it before."""
    stored = {"stored_at": copy.backup.finished_at or copy.backup.started_at, "checked_at": now}
    row = {"backup_id": copy.backup.id, "store": copy.store, "state": "stored", **stored}
    checked = {"checked_at": now, "state": "stored", "failure": None}
    there = select(backup.c.id).where(backup.c.id == copy.backup.id).with_for_update(key_share=True)
    if conn.execute(there).one_or_none():  # it may have been pruned meanwhile
        conn.execute(insert(backup_copy).values(row).on_conflict_do_update(constraint="pk_backup_copy", set_=checked))


def mark_bad(conn: Connection, copy: Copy, sentence: str, now: datetime) -> bool:
    """Record that a copy is bad; return whether it was the last good one, so that the backup has failed."""
    mark_checked(conn, copy, now)
    one = backup_copy.c.backup_id == copy.backup.id
    bad = {"state": "failed", "failure": sentence, "next_try_at": now}
    conn.execute(update(backup_copy).where(one, backup_copy.c.store == copy.store).values(bad))
    others = select(func.count()).select_from(backup_copy).where(one, backup_copy.c.state == "stored")
    if conn.execute(others).scalar_one():
        return False
    catalogue.mark_failed(conn, copy.backup.id, sentence, now, CHECKABLE)
    return True


def is_bad(conn: Connection, copy: Copy) -> bool:
    """Say whether a copy is recorded as bad."""
    state = select(backup_copy.c.state).where(
        backup_copy.c.backup_id == copy.backup.id, backup_copy.c.store == copy.store
    )
    return conn.execute(state).scalar_one_or_none() == "failed"


def unproved(conn: Connection, now: datetime, limit: int) -> list[str]:
    """Return the ids of backups that were stored an hour ago and never verified, the newest first."""
    query = text("""
        SELECT id FROM backup WHERE state = 'stored' AND finished_at < CAST(:now AS timestamptz) - interval '1 hour'
        ORDER BY started_at DESC LIMIT :limit
    """)
    return list(conn.execute(query, {"now": now, "limit": limit}).scalars())
