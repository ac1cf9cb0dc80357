"""SQL of a recovery: what the catalogue learns from the store. The caller owns the transaction."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from ...platform.control.tables import backup, backup_copy, process, tenant
from ..header import Descriptor
from ..records import BackupState

_HELD = (BackupState.STORED, BackupState.VERIFIED)


@dataclass(frozen=True, slots=True)
class Entry:
    """What must be known of an entry of the catalogue to compare it with the store; `size` in bytes."""

    id: str
    state: BackupState
    object: str | None
    size: int | None


def entries(conn: Connection) -> dict[str, Entry]:
    """Return the catalogue, by id."""
    rows = conn.execute(select(backup.c.id, backup.c.state, backup.c.object, backup.c.bytes))
    return {one: Entry(one, BackupState(state), name, size) for one, state, name, size in rows}


def tenant_ids(conn: Connection) -> set[str]:
    """Return the ids of all workspaces, whatever their state."""
    return set(conn.scalars(select(tenant.c.id)))


def put_stored(conn: Connection, descriptor: Descriptor, started_at: datetime) -> None:
    """Write the entry of a backup that lies whole in the store, or complete the one that was left `running`."""
    header = descriptor.header
    values = {
        "tenant_id": header.tenant_id,
        "kind": header.kind,
        "state": BackupState.STORED,
        "schema_revision": header.schema_revision,
        "object": descriptor.object,
        "bytes": descriptor.size,
        "sha256": descriptor.sha256,
        "manifest": descriptor.manifest.to_json(),
        "receipts": len(descriptor.receipts),
        "receipts_lost": len(descriptor.lost),
        "started_at": started_at,
        "finished_at": started_at,
        "lease_until": None,
    }
    statement = insert(backup).values(id=header.backup_id, **values)
    unfinished = backup.c.state == BackupState.RUNNING
    conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values, where=unfinished))


def forget_prolongations(conn: Connection, backup_ids: Collection[str]) -> None:
    """Remove the entries which say that nothing has changed since one of these backups, which are no more."""
    conn.execute(delete(backup).where(backup.c.unchanged_since.in_(backup_ids)))


def unchanged_until(conn: Connection) -> dict[str, datetime]:
    """Return for backups until when it was found that their database had not changed since."""
    moment = func.max(backup.c.started_at)
    known = backup.c.unchanged_since.is_not(None)
    rows = conn.execute(select(backup.c.unchanged_since, moment).where(known).group_by(backup.c.unchanged_since))
    return {str(backup_id): at for backup_id, at in rows}


def keep_copies(conn: Connection, store: str, stores: Collection[str], gone: Collection[str]) -> set[str]:
    """Record that `store` holds every good backup but those that are `gone`; return which of these others hold.

    `stores` are the names in the settings; what is said about any other store is forgotten.
    """
    absent = backup_copy.c.backup_id.in_(gone) & (backup_copy.c.store == store)
    conn.execute(delete(backup_copy).where(absent | backup_copy.c.store.not_in(stores)))
    good = select(backup.c.id, literal(store), literal("stored"), func.now()).where(
        backup.c.state.in_(_HELD), backup.c.object.is_not(None), backup.c.id.not_in(gone)
    )
    statement = insert(backup_copy).from_select(["backup_id", "store", "state", "stored_at"], good)
    done = {"state": "stored", "failure": None}
    conn.execute(statement.on_conflict_do_update(index_elements=["backup_id", "store"], set_=done))
    others = backup_copy.c.backup_id.in_(gone) & (backup_copy.c.state == "stored")
    return set(conn.scalars(select(backup_copy.c.backup_id).where(others)))


def forget_processes(conn: Connection) -> None:
    """Remove the processes of the lost machine, and the connections that they were granted."""
    conn.execute(delete(process))
