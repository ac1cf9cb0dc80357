"""Which files of a data folder belong to a base backup, and to which part of it."""

import re
from collections.abc import Iterator
from pathlib import Path

CLUSTER = "cluster"
_DATABASES = "base"
# What PostgreSQL makes anew, or replays from the log (basebackup.c: excludeDirContents, excludeFiles).
_EMPTY = {
    "pg_wal",
    "pg_replslot",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_subtrans",
    "pg_stat_tmp",
}
_LEFT_OUT = re.compile(
    r"postmaster\.(pid|opts)|postgresql\.auto\.conf\.tmp|current_logfiles(\.tmp)?|backup_(label|manifest)(\.old)?"
    r"|tablespace_map(\.old)?|pg_internal\.init.*|pgsql_tmp.*|t\d+_\d+.*|.*\.new"
)
_CONTROL = Path("global/pg_control")  # is copied last, as PostgreSQL's own base backup does


def database_folders(data: Path) -> list[str]:
    """Return the numbers of the databases that have a folder."""
    return sorted((path.name for path in (data / _DATABASES).iterdir() if path.name.isdigit()), key=int)


def cluster_paths(data: Path) -> Iterator[Path]:
    """Yield what belongs to no single database, relative to `data`, folders before what is in them."""
    yield from (path for path in _walk(data, Path()) if path != _CONTROL)
    yield _CONTROL


def database_paths(data: Path, number: str) -> Iterator[Path]:
    """Yield what belongs to one database; nothing if it is gone."""
    folder = Path(_DATABASES, number)
    if (data / folder).is_dir():
        yield folder
        yield from _walk(data, folder)


def _walk(data: Path, folder: Path) -> Iterator[Path]:
    try:
        entries = sorted((data / folder).iterdir())
    except FileNotFoundError:  # a database that was dropped
        return
    for entry in entries:
        path = folder / entry.name
        if _LEFT_OUT.fullmatch(entry.name):
            continue
        yield path
        if path.as_posix() in (*_EMPTY, _DATABASES):
            continue
        if entry.is_dir():
            yield from _walk(data, path)
