"""The statements that bring a database from one revision to the newest, as text that needs no Alembic to be run.

Written once and run in thousands of databases: Alembic's own way costs a process, or at least its global `op`, each.
"""

from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path

from alembic.runtime.environment import EnvironmentContext

from ..config.alembic_scripts import alembic_config, alembic_scripts
from ..config.errors import FailedError
from .migrate import REVISIONS, missing_from, newest_revision, one_at_a_time
from .tables import SCHEMA, metadata

# What `autocommit_block` writes: the script would no longer be one transaction.
_COMMITS = "\nCOMMIT;"


@dataclass(frozen=True, slots=True)
class UpgradeScript:
    """The way from `start` to `target`. `statements` ends with the mark of the revision; None: it needs Python."""

    start: str
    target: str
    statements: bytes | None


@cache
def upgrade_script(start: str, folder: Path = REVISIONS) -> UpgradeScript:
    """Return what is missing in a database that is at the revision `start`.

    A revision module with `needs_python = True` reads or computes while it runs and has no text. Raises `FailedError`
    for one that cannot be written as text and does not say so.
    """
    scripts, target = alembic_scripts(folder), newest_revision(folder)
    between = list(scripts.iterate_revisions(target, start))
    if any(getattr(script.module, "needs_python", False) for script in between):
        return UpgradeScript(start, target, None)
    text = _written(start, folder)
    if _COMMITS in text:
        raise FailedError(f"The revisions from {start} to {target} commit in between; a failure could not be undone.")
    return UpgradeScript(start, target, text.encode())


def _written(start: str, folder: Path) -> str:
    buffer = StringIO()
    with (
        one_at_a_time,
        EnvironmentContext(
            alembic_config(folder),
            alembic_scripts(folder),
            fn=missing_from(folder),
            as_sql=True,
            starting_rev=start,
            destination_rev="head",
        ) as environment,
    ):
        environment.configure(
            dialect_name="postgresql",
            dialect_opts={"paramstyle": "named"},  # a literal % stays one
            output_buffer=buffer,
            target_metadata=metadata,  # names constraints by its convention
            version_table_schema=SCHEMA,
        )
        try:
            environment.run_migrations()
        except Exception as error:
            raise FailedError(
                f"The revisions after {start} cannot be written as SQL ({error}); mark them with needs_python = True."
            ) from error
    return buffer.getvalue()
