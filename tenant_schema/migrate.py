"""Brings a tenant's database to the newest revision, in process, over a connection that the caller opened."""

from pathlib import Path
from threading import Lock
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from ..config.alembic_scripts import alembic_config, alembic_scripts
from .seeds import seed_categories
from .tables import SCHEMA, metadata

_HAS_SCHEMA = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")
_REVISIONS = Path(__file__).with_name("migrations")
_TIME_OUTS = text(
    "SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '60s', true),"
    " set_config('search_path', 'pg_catalog', true)"
)
# Alembic's `op` is global to the process: two threads would run each other's statements.
_one_at_a_time = Lock()


def newest_revision() -> str:
    """Return the revision that `upgrade` leads to."""
    head = alembic_scripts(_REVISIONS).get_current_head()
    if head is None:
        raise AssertionError("there is no revision in the wheel")
    return head


def knows_revision(revision: str) -> bool:
    """Say whether `upgrade` can start from this revision; it cannot if newer code made it."""
    return any(script.revision == revision for script in alembic_scripts(_REVISIONS).walk_revisions())


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, None before the first."""
    return _context(connection).get_current_revision()


def upgrade(connection: Connection) -> str:
    """Run the revisions that are missing inside the caller's transaction; return the newest.

    A database that had none starts with the usual categories. The connection's role becomes the owner of what is made.
    It needs CREATE on the database unless the schema `app` is there and its own, and USAGE on the language plpgsql.
    Lock and statement time-outs hold for the rest of the transaction. The caller commits.
    """
    connection.execute(_TIME_OUTS)
    if not connection.execute(_HAS_SCHEMA, {"schema": SCHEMA}).scalar_one():
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    fresh = current_revision(connection) is None
    with (
        _one_at_a_time,
        EnvironmentContext(
            alembic_config(_REVISIONS), alembic_scripts(_REVISIONS), fn=_missing, destination_rev="head"
        ) as environment,
    ):
        environment.configure(connection=connection, target_metadata=metadata, version_table_schema=SCHEMA)
        environment.run_migrations()
    if fresh:
        seed_categories(connection)
    return newest_revision()


def _missing(revision: Any, context: MigrationContext) -> Any:  # noqa: ARG001  # signature that Alembic calls
    # What Alembic's own `upgrade` command calls; there is no public name for it.
    return alembic_scripts(_REVISIONS)._upgrade_revs("head", revision)  # pyright: ignore[reportPrivateUsage]


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
