"""Brings a tenant's database to the newest revision, in process, over a connection that the caller opened."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from ..config.alembic_scripts import alembic_config, alembic_scripts, check_known, has_revision
from .seeds import seed_categories
from .tables import SCHEMA, metadata

_HAS_SCHEMA = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")
REVISIONS = Path(__file__).with_name("migrations")
_SETTINGS = text(
    "SELECT set_config('lock_timeout', :lock_ms, true), set_config('statement_timeout', :statement_ms, true),"
    " set_config('search_path', 'pg_catalog', true)"
)
# Alembic's `op` is global to the process: two threads would run each other's statements.
one_at_a_time = Lock()


def newest_revision(folder: Path = REVISIONS) -> str:
    """Return the revision that `upgrade` leads to. `folder`: another set of revisions than the wheel's."""
    head = alembic_scripts(folder).get_current_head()
    if head is None:
        raise AssertionError("there is no revision in the wheel")
    return head


def knows_revision(revision: str, folder: Path = REVISIONS) -> bool:
    """Say whether `upgrade` can start from this revision; it cannot if newer code made it."""
    return has_revision(folder, revision)


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, None before the first."""
    return _context(connection).get_current_revision()


def upgrade(
    connection: Connection, folder: Path = REVISIONS, *, lock_ms: int = 5_000, statement_ms: int = 60_000
) -> str:
    """Run the revisions that are missing inside the caller's transaction; return the newest.

    A database that had none starts with the usual categories. The connection's role becomes the owner of what is made.
    It needs CREATE on the database unless the schema `app` is there and its own, and USAGE on the language plpgsql.
    Lock and statement time-outs (milliseconds) hold for the rest of the transaction. The caller commits.
    Raises `RefusedError` for a database that newer code has upgraded.
    """
    connection.execute(_SETTINGS, {"lock_ms": str(lock_ms), "statement_ms": str(statement_ms)})
    if not connection.execute(_HAS_SCHEMA, {"schema": SCHEMA}).scalar_one():
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    current = current_revision(connection)
    check_known(folder, current, "a workspace's database")
    with (
        one_at_a_time,
        EnvironmentContext(
            alembic_config(folder), alembic_scripts(folder), fn=missing_from(folder), destination_rev="head"
        ) as environment,
    ):
        environment.configure(connection=connection, target_metadata=metadata, version_table_schema=SCHEMA)
        environment.run_migrations()
    if current is None:
        seed_categories(connection)
    return newest_revision(folder)


def missing_from(folder: Path) -> Callable[[Any, MigrationContext], Any]:
    """Return the function by which Alembic asks for the steps from a revision to the newest in `folder`."""

    def missing(revision: Any, context: MigrationContext) -> Any:  # noqa: ARG001  # signature that Alembic calls
        # What Alembic's own `upgrade` command calls; there is no public name for it.
        return alembic_scripts(folder)._upgrade_revs("head", revision)  # pyright: ignore[reportPrivateUsage]

    return missing


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
