"""Brings the control database to the newest revision, in process."""

from pathlib import Path
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, text

from ...config.alembic_scripts import alembic_config, alembic_scripts, check_known
from .tables import metadata

_REVISIONS = Path(__file__).with_name("migrations")
_TIME_OUTS = text("SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '60s', true)")
# Two processes that start together: the second waits and finds nothing to do. The number is arbitrary.
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(7387126)")


def newest_revision() -> str | None:
    """Return the revision that `upgrade` leads to."""
    return alembic_scripts(_REVISIONS).get_current_head()


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, None before the first."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine) -> None:
    """Run the revisions that are missing, all in one transaction. Idempotent.

    Raises `RefusedError` for a database that newer code has upgraded.
    """
    with engine.begin() as connection:
        connection.execute(_TIME_OUTS)
        connection.execute(_ONE_AT_A_TIME)
        check_known(_REVISIONS, current_revision(connection), "the control database")
        with EnvironmentContext(
            alembic_config(_REVISIONS), alembic_scripts(_REVISIONS), fn=_missing, destination_rev="head"
        ) as environment:
            environment.configure(connection=connection, target_metadata=metadata)
            environment.run_migrations()


def _missing(revision: Any, context: MigrationContext) -> Any:  # noqa: ARG001 - the signature that Alembic calls
    # What Alembic's own `upgrade` command calls; there is no public name for it.
    return alembic_scripts(_REVISIONS)._upgrade_revs("head", revision)  # pyright: ignore[reportPrivateUsage]
