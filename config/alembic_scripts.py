"""Alembic's view of a folder of revisions: what both kinds of database are migrated with, without an `alembic.ini`."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory


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
