"""A database copied straight into another one, on the same or another server: no file, no store, one snapshot."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from psycopg import sql

from ..config.errors import VerificationError
from ..platform.control.platform import Platform
from ..platform.servers.records import Server
from ..provisioning.names import BACKUP, MIGRATOR, Names
from ..provisioning.sessions import Session, migrator, open_as
from ..tenant_schema.tables import SCHEMA
from .manifest import Manifest, differences, read_manifest
from .subject import target_for
from .take import exported_snapshot
from .tools import CHUNK, Target, dumping, restoring

_MAJOR = 10_000  # of libpq's version number


@dataclass(frozen=True, slots=True)
class Place:
    """A database on a server."""

    server: Server
    names: Names


@dataclass(frozen=True, slots=True)
class Copied:
    """What the source held in the snapshot that was copied, and the version of its server."""

    manifest: Manifest
    server_version: int


@dataclass(frozen=True, slots=True)
class Original:
    """A database to copy from: a session of a role that may read all of it, and the same way in for `pg_dump`."""

    session: Session
    target: Target


def copy_database(platform: Platform, source: Place, target: Place) -> Copied:
    """Stream the source's content into the target, which is prepared and empty. Raises `FailedError`.

    The backup role reads; what is made belongs to the target's owner role. Either everything arrives or nothing.
    """
    with (
        open_as(platform, source.server, BACKUP, source.names.database) as session,
        target_for(platform, source.server, BACKUP, source.names.database) as reading,
    ):
        return copy_content(platform, Original(session, reading), target)


def copy_content(platform: Platform, original: Original, target: Place) -> Copied:
    """Do what `copy_database` does, from wherever the original is."""
    with exported_snapshot(original.session) as snapshot, ThreadPoolExecutor(1, "copy-manifest") as beside:
        content = beside.submit(read_manifest, original.session)
        _stream(platform, original.target, target, snapshot.id)
        return Copied(content.result(), snapshot.server_version)


def compare_copy(platform: Platform, copied: Copied, target: Place) -> None:
    """Raise `VerificationError` unless the target holds exactly what the source held.

    Between different versions of PostgreSQL the rows are compared, not the schema: their catalogs tell it differently.
    """
    with migrator(platform, target.server, target.names.database) as session:
        session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(target.names.owner)))
        with session.transaction():
            found = read_manifest(session)
        same_version = session.info.server_version // _MAJOR == copied.server_version // _MAJOR
    expected = copied.manifest if same_version else replace(copied.manifest, schema=found.schema)
    differing = differences(expected, found)
    if differing:
        raise VerificationError(f"The copy differs from the original: {'; '.join(differing[:5])}.")


def _stream(platform: Platform, reading: Target, target: Place, snapshot: str) -> None:
    owner = target.names.owner
    with migrator(platform, target.server, target.names.database) as session:
        version = session.info.server_version
    with (
        target_for(platform, target.server, MIGRATOR, target.names.database) as writing,
        dumping(reading, f"--snapshot={snapshot}") as dump,
        restoring(writing, f"--role={owner}", f"--schema={SCHEMA}", server_version=version) as archive,
    ):
        while data := dump.read(CHUNK):
            archive.write(data)
