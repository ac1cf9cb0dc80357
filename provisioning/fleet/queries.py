"""SQL about the schema upgrade of all databases. The caller owns the transaction."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from ...platform.control.tables import fleet_migration, placement, tenant
from ...platform.tenants.ids import database_name

SERVED = ("active", "suspended", "migrating", "restoring")  # states in which a tenant has a database of its own


@dataclass(frozen=True, slots=True)
class Database:
    """A database that has to follow the schema: a tenant's current one, or a finished one that waits for a tenant."""

    placement_id: str
    server: str
    tenant_id: str | None
    slug: str | None
    revision: str | None

    @property
    def label(self) -> str:
        """What an operator calls it."""
        return f"“{self.slug}”" if self.slug else f"spare {database_name(self.placement_id)}"

    @property
    def lock(self) -> str:
        """Who restores or moves the tenant (`create.tenant_lock`) or renews the spare has it."""
        return f"tenant:{self.tenant_id}" if self.tenant_id else f"placement:{self.placement_id}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A database that could not be upgraded, and why."""

    placement_id: str
    slug: str | None
    sentence: str
    attempts: int
    at: datetime


_ANY = select(
    placement.c.id, placement.c.server_name, placement.c.tenant_id, tenant.c.slug, placement.c.schema_revision
).select_from(placement.outerjoin(tenant, placement.c.tenant_id == tenant.c.id))
_DATABASE = _ANY.where(
    or_(
        (placement.c.state == "current") & tenant.c.state.in_(SERVED),
        (placement.c.state == "ready") & placement.c.spare,
    )
).order_by(placement.c.tenant_id.is_(None), placement.c.id)


def databases(conn: Connection) -> list[Database]:
    """Return all databases that have to follow the schema: tenants' first, then spares."""
    return [Database(*row) for row in conn.execute(_DATABASE)]


def behind(conn: Connection, newest: str) -> list[Database]:
    """Return those of them that are recorded at another revision than `newest`: one read, whatever their number."""
    other = placement.c.schema_revision.is_distinct_from(newest)
    return [Database(*row) for row in conn.execute(_DATABASE.where(other))]


def again(conn: Connection, placement_id: str) -> Database | None:
    """Return a database as it is now; None if it follows no more: its tenant left it, or it is being dropped."""
    wanted = _ANY.where(placement.c.id == placement_id, placement.c.state.in_(("current", "ready")))
    row = conn.execute(wanted).one_or_none()
    return Database(*row) if row else None


def plan(conn: Connection, revision: str, ids: Iterable[str]) -> None:
    """Write a row for each of these databases. Those that a killed run began or that failed begin anew."""
    rows = [{"revision": revision, "placement_id": pid, "state": "pending"} for pid in ids]
    if rows:
        again = {"state": "pending", "failure": None, "changed_at": func.now()}
        conn.execute(
            insert(fleet_migration).on_conflict_do_update(index_elements=["revision", "placement_id"], set_=again), rows
        )


def unproven(conn: Connection, revision: str) -> list[Database]:
    """Return those at `revision` that a run has upgraded and none has found to be what the template is."""
    rows = select(fleet_migration.c.placement_id).where(
        fleet_migration.c.revision == revision, fleet_migration.c.state != "done"
    )
    statement = _DATABASE.where(placement.c.schema_revision == revision, placement.c.id.in_(rows))
    return [Database(*row) for row in conn.execute(statement)]


def outcome(conn: Connection, revision: str) -> dict[str, int]:
    """Return how many databases are in which state of the upgrade to `revision`."""
    counted = select(fleet_migration.c.state, func.count()).where(fleet_migration.c.revision == revision)
    return {state: count for state, count in conn.execute(counted.group_by(fleet_migration.c.state))}  # noqa: C416 - rows are not typed as pairs


def failures(conn: Connection, revision: str) -> list[Failure]:
    """Return what failed in the upgrade to `revision`, or differs after it, and has not been cured since."""
    statement = (
        select(
            fleet_migration.c.placement_id,
            tenant.c.slug,
            func.coalesce(fleet_migration.c.failure, ""),
            fleet_migration.c.attempts,
            fleet_migration.c.changed_at,
        )
        .select_from(fleet_migration.join(placement).outerjoin(tenant, placement.c.tenant_id == tenant.c.id))
        .where(fleet_migration.c.revision == revision, fleet_migration.c.state.in_(("failed", "differing")))
        .where(placement.c.state.in_(("current", "ready")))
        .order_by(tenant.c.slug, placement.c.id)
    )
    return [Failure(*row) for row in conn.execute(statement)]


def start(conn: Connection, revision: str, database: Database) -> bool:
    """Lock the database for this session and note the attempt; False when it is in somebody else's hands."""
    if not conn.execute(_TRY_LOCK, {"key": database.lock}).scalar_one():
        return False
    values = {"state": "running", "attempts": fleet_migration.c.attempts + 1, "changed_at": func.now()}
    conn.execute(update(fleet_migration).where(*_this(revision, database.placement_id)).values(values))
    return True


def finish(conn: Connection, revision: str, database: Database) -> None:
    """Note that the database is at `revision`, to be compared with the template.

    Its tenant gets a new generation, so that connections are renewed.
    """
    conn.execute(_FINISH, {"revision": revision, "id": database.placement_id, "tenant": database.tenant_id})


def settle(conn: Connection, revision: str, placement_id: str) -> None:
    """Note that nothing is left to be done about a database that follows no more."""
    _note(conn, revision, placement_id, "done", None)


def fail(conn: Connection, revision: str, placement_id: str, sentence: str) -> None:
    """Note why the database is as it was."""
    _note(conn, revision, placement_id, "failed", sentence)


def compared(conn: Connection, revision: str, placement_id: str, difference: str | None) -> None:
    """Note that the database is what the template is, or in which sentence it is not."""
    _note(conn, revision, placement_id, "differing" if difference else "done", difference)


def _note(conn: Connection, revision: str, placement_id: str, state: str, failure: str | None) -> None:
    values = {"state": state, "failure": failure, "changed_at": func.now()}
    conn.execute(update(fleet_migration).where(*_this(revision, placement_id)).values(values))


def release(conn: Connection, database: Database) -> None:
    """Give back what `start` has locked."""
    conn.execute(_UNLOCK, {"key": database.lock})


def _this(revision: str, placement_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return fleet_migration.c.revision == revision, fleet_migration.c.placement_id == placement_id


_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))")
_FINISH = text("""
WITH done AS (
    UPDATE fleet_migration SET state = 'upgraded', failure = NULL, changed_at = now()
    WHERE revision = :revision AND placement_id = :id
), placed AS (
    UPDATE placement SET schema_revision = :revision WHERE id = :id
)
UPDATE tenant SET schema_revision = :revision, generation = generation + 1, changed_at = now()
WHERE id = :tenant AND placement_id = :id
""")
