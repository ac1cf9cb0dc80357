"""Tables of a backup in a file, for support: restored into a scratch server, proved there, then written as CSV.

Sealed values stay sealed: they come out in hexadecimal and open only with the workspace's keys.
"""

import os
import zipfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from ..config.errors import CallError, FailedError, NotFoundError
from ..platform.audit import queries as operators_audit
from ..platform.control.platform import Platform
from ..platform.tenants import queries as tenants
from ..provisioning.sessions import Session
from ..tenant_schema.tables import SCHEMA
from .copies import holding
from .progress import Event, Progress, silent, watching
from .records import Backup
from .restore import choose_backup
from .scratch import ScratchPool
from .subject import identity_of
from .tools import restoring
from .verify import compare, read_descriptor, read_dump

_STEPS = 3


@dataclass(frozen=True, slots=True)
class Extracted:
    """The file, and how many rows of each table are in it."""

    backup: Backup
    path: Path
    rows: dict[str, int]


def extract(
    platform: Platform,
    slug: str,
    wanted: Sequence[str],
    path: Path,
    backup_id: str | None = None,
    *,
    operator: str = "operator",
    scratch: ScratchPool | None = None,
    progress: Progress = silent,
) -> Extracted:
    """Write tables of a backup (default: the newest verified one) to the new ZIP file `path`, one CSV file each.

    Raises `NotFoundError` (workspace, backup, table), `CallError` (the file exists), `RefusedError`,
    `VerificationError` (the backup is not what the catalogue says) or `FailedError`; there is no file then.
    """
    if path.exists():
        raise CallError(f"{path} exists already; nothing is overwritten.")
    with platform.control.connect() as conn:
        source = tenants.by_slug(conn, slug)
    backup = choose_backup(platform, source, backup_id)
    store, identity = holding(platform, backup), identity_of(platform, source.id)
    progress(Event(slug, "checking the backup", 1, _STEPS))
    descriptor = read_descriptor(store, backup, identity)
    tables = _checked(wanted, [name for name in descriptor.manifest.tables if name.startswith(f"{SCHEMA}.")])
    with _pool(platform, scratch) as pool, pool.database() as database:
        begun = Event(slug, "restoring it into a scratch server", 2, _STEPS, size=descriptor.size)
        progress(begun)
        with restoring(database.target) as archive:
            read_dump(store, descriptor, identity, archive, watching(progress, begun))
        compare(descriptor, database.session)
        with platform.control.begin() as conn:  # whoever has the file is in the log
            detail = {"backup": backup.id, "tables": tables}
            operators_audit.record(conn, operator, "backup.extracted", source.id, detail)
        progress(Event(slug, f"writing {path.name}", _STEPS, _STEPS))
        _write(path, database.session, tables)
    return Extracted(backup, path, {name: descriptor.manifest.tables[f"{SCHEMA}.{name}"].rows for name in tables})


def _checked(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    names = [name.removeprefix(f"{SCHEMA}.") for name in known]
    found = [name.removeprefix(f"{SCHEMA}.") for name in dict.fromkeys(wanted)]
    for name in found:
        if name not in names:
            raise NotFoundError(f"The backup has no table “{name[:60]}”; it has: {', '.join(sorted(names))}.")
    return found


@contextmanager
def _pool(platform: Platform, running: ScratchPool | None) -> Generator[ScratchPool]:
    pool = running or ScratchPool(platform.settings)
    try:
        yield pool
    finally:
        if running is None:
            pool.close()


def _write(path: Path, session: Session, tables: Sequence[str]) -> None:
    """Mode 0600 from its first byte; nothing is left when it fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FailedError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for table in tables:
                _write_table(archive, session, table)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise FailedError(f"{path} cannot be written: {error.strerror}.") from error
        raise


def _write_table(archive: zipfile.ZipFile, session: Session, table: str) -> None:
    copy = sql.SQL("COPY (SELECT * FROM {} ORDER BY 1) TO STDOUT (FORMAT csv, HEADER)")
    query = copy.format(sql.Identifier(SCHEMA, table))
    with (
        archive.open(f"{table}.csv", "w", force_zip64=True) as member,
        session.cursor() as cursor,
        cursor.copy(query) as rows,
    ):
        for piece in rows:
            member.write(piece)
