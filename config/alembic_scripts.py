"""Alembic's view of a folder of revisions: what both kinds of database are migrated with, without an `alembic.ini`."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from .errors import RefusedError


@cache
def alembic_config(folder: Path) -> Config:
    """Return Alembic's configuration for the revisions in `folder`."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def alembic_scripts(folder: Path) -> ScriptDirectory:
    """Return the revisions in `folder`, read once per process."""
    return ScriptDirectory.from_config(alembic_config(folder))


def has_revision(folder: Path, revision: str) -> bool:
    """Say whether `revision` is one of those in `folder`; it is not if newer code made it."""
    return any(script.revision == revision for script in alembic_scripts(folder).walk_revisions())


def check_known(folder: Path, revision: str | None, what: str) -> None:
    """Raise `RefusedError` unless an upgrade of `what` can start from `revision` (None: from nothing)."""
    if revision is not None and not has_revision(folder, revision):
        raise RefusedError(
            f"The schema revision {revision} of {what} is newer than this version of Strongroom knows; install the"
            " newer version again."
        )
