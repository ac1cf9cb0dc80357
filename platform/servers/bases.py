"""SQL about base backups of whole servers. The caller owns the transaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, select, update
from sqlalchemy.dialects.postgresql import insert

from ...config.errors import NotFoundError
from ..control.tables import base_backup

RUNNING, STORED, FAILED, EXPIRED = "running", "stored", "failed", "expired"
_columns = base_backup.c


@dataclass(frozen=True, slots=True)
class BaseBackup:
    """One base backup. `archive_key` is the day whose key opens it."""

    id: str
    server: str
    state: str
    store: str
    archive_key: str
    system_id: str | None
    timeline: int | None
    start_wal: str | None  # first piece of the log that it needs
    stop_wal: str | None
    size: int | None  # bytes
    failure: str | None
    lease_until: datetime | None
    started_at: datetime
    finished_at: datetime | None  # by the server's clock: from then on it leads to any moment


_BASE = select(
    _columns.id,
    _columns.server_name,
    _columns.state,
    _columns.store,
    _columns.archive_key,
    _columns.system_id,
    _columns.timeline,
    _columns.start_wal,
    _columns.stop_wal,
    _columns.bytes,
    _columns.failure,
    _columns.lease_until,
    _columns.started_at,
    _columns.finished_at,
)


def begin(conn: Connection, base: BaseBackup) -> None:
    """Write a base backup that is being taken."""
    conn.execute(
        insert(base_backup).values(
            id=base.id,
            server_name=base.server,
            state=RUNNING,
            store=base.store,
            archive_key=base.archive_key,
            system_id=base.system_id,
            lease_until=base.lease_until,
            started_at=base.started_at,
        )
    )


def renew_lease(conn: Connection, base_id: str, lease_until: datetime) -> None:
    """Say that whoever takes it is alive."""
    conn.execute(update(base_backup).where(_running(base_id)).values(lease_until=lease_until))


def mark_stored(conn: Connection, base: BaseBackup) -> bool:
    """Record that everything of it is durable; False if it was given up meanwhile."""
    values = {
        "state": STORED,
        "timeline": base.timeline,
        "start_wal": base.start_wal,
        "stop_wal": base.stop_wal,
        "bytes": base.size,
        "finished_at": base.finished_at,
        "lease_until": None,
    }
    done = conn.execute(update(base_backup).where(_running(base.id)).values(values).returning(_columns.id))
    return done.one_or_none() is not None


def mark_failed(conn: Connection, base_id: str, sentence: str, now: datetime) -> None:
    """Record why it did not come to its end."""
    values = {"state": FAILED, "failure": sentence, "finished_at": now, "lease_until": None}
    conn.execute(update(base_backup).where(_running(base_id)).values(values))


def mark_expired(conn: Connection, base_id: str) -> None:
    """Record that it has had its time: nothing leads back to it."""
    conn.execute(update(base_backup).where(_columns.id == base_id).values(state=EXPIRED))


def lost(conn: Connection, now: datetime) -> list[BaseBackup]:
    """Return those whose process shows no sign of life."""
    return [
        BaseBackup(*row) for row in conn.execute(_BASE.where(_columns.state == RUNNING, _columns.lease_until < now))
    ]


def in_state(conn: Connection, state: str, server_name: str | None = None) -> list[BaseBackup]:
    """Return the base backups in a state, of one server or of all, the oldest first."""
    statement = _BASE.where(_columns.state == state).order_by(_columns.started_at, _columns.id)
    if server_name is not None:
        statement = statement.where(_columns.server_name == server_name)
    return [BaseBackup(*row) for row in conn.execute(statement)]


def before(conn: Connection, server_name: str, moment: datetime) -> BaseBackup | None:
    """Return the newest base backup that leads to `moment`; None if there is none."""
    stored = (_columns.server_name == server_name, _columns.state == STORED, _columns.finished_at <= moment)
    statement = _BASE.where(*stored).order_by(_columns.finished_at.desc()).limit(1)
    return _optional(conn.execute(statement).one_or_none())


def by_id(conn: Connection, base_id: str) -> BaseBackup:
    """Return a base backup. Raises `NotFoundError`."""
    found = _optional(conn.execute(_BASE.where(_columns.id == base_id)).one_or_none())
    if found is None:
        raise NotFoundError(f"There is no base backup “{base_id}”.")
    return found


def _running(base_id: str) -> ColumnElement[bool]:
    return (_columns.id == base_id) & (_columns.state == RUNNING)


def _optional(row: Row[*tuple[object, ...]] | None) -> BaseBackup | None:
    return BaseBackup(*row) if row else None  # pyright: ignore[reportArgumentType]  # in the record's order
