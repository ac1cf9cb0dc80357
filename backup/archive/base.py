"""Takes a base backup of the embedded server: all its files, one object for each database, while it works on.

PostgreSQL's own way for programs that copy the files themselves (documentation: “Making a Base Backup Using the Low
Level API”). Nothing connects as a replica, so no role needs the right of replication. When this process is killed, its
session ends, and with that the backup.
"""

import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, LiteralString

import psycopg

from ...config.errors import FailedError, RefusedError, StrongroomError
from ...platform.control.platform import Platform
from ...platform.keys.records import ArchiveKeys
from ...platform.servers import bases
from ...platform.servers import queries as servers
from ...platform.servers.bases import BaseBackup
from ...platform.servers.records import Server
from ...provisioning.locking import held
from ...provisioning.names import BACKUP, CONTROL
from ...provisioning.postgres.embedded import EmbeddedServer
from ...provisioning.postgres.setup import EMBEDDED_NAME
from ...provisioning.sessions import Session, open_as
from .. import pipeline
from ..header import Header
from ..lease import kept_alive, lease_end
from ..names import new_backup_id
from ..progress import Event, Progress, silent
from ..stores.contract import Store
from . import files, names
from .descriptor import BaseDescriptor, Part
from .places import archive_store, archive_store_name
from .tar import TarStream

KIND = "base"
PARALLEL = 2
_STOP = "SET statement_timeout = '10min'"  # that long the last piece of the log may take to reach the spool
_DATABASES = "SELECT datname, oid::text, datistemplate FROM pg_database"
_SETTINGS = """
    SELECT current_setting('archive_mode'), timeline_id, pg_size_bytes(current_setting('wal_segment_size'))
    FROM pg_control_checkpoint()
"""


@dataclass(slots=True)
class Work:
    """State of a base backup while it is taken."""

    platform: Platform
    store: Store
    server: Server
    embedded: EmbeddedServer
    base: BaseBackup
    keys: ArchiveKeys
    progress: Progress

    @property
    def folder(self) -> str:
        """Where its objects lie."""
        return names.base_folder(self.base.server, self.base.system_id or "", self.base.id)


def run_base_backup(platform: Platform, server_name: str = EMBEDDED_NAME, progress: Progress = silent) -> BaseBackup:
    """Take a base backup of a server; return its entry. From then on its log is archived.

    Raises `NotFoundError`, `RefusedError` (no point in time is wanted, another one is being taken, not our server) or
    `FailedError`; the entry then says why.
    """
    with platform.control.connect() as conn:
        server = servers.by_name(conn, server_name)
    _check(platform, server)
    with held(platform, f"base backup {server.name}") as mine:
        if not mine:
            raise RefusedError(f"A base backup of the server “{server.name}” is being taken already.")
        return _run(_begin(platform, server, progress))


def _check(platform: Platform, server: Server) -> None:
    if server.kind != "embedded":
        raise RefusedError(
            f"The server “{server.name}” is not ours: its base backups are made by what archives its log."
        )
    if platform.settings.point_in_time_days == 0:
        raise RefusedError("point_in_time_days is 0: no way back to a point in time is wanted.")


def _begin(platform: Platform, server: Server, progress: Progress) -> Work:
    embedded, now = EmbeddedServer(platform.settings), datetime.now(UTC)
    day = names.day_of(now)
    base = BaseBackup(
        id=new_backup_id(now),
        server=server.name,
        state=bases.RUNNING,
        store=archive_store_name(platform.settings),
        archive_key=day,
        system_id=embedded.spool.system_id(),
        timeline=None,
        start_wal=None,
        stop_wal=None,
        size=None,
        failure=None,
        lease_until=lease_end(),
        started_at=now,
        finished_at=None,
    )
    keys = platform.keys.create_archive(day)
    with platform.control.begin() as conn:
        bases.begin(conn, base)
    return Work(platform, archive_store(platform.settings), server, embedded, base, keys, progress)


def _run(work: Work) -> BaseBackup:
    try:
        with kept_alive(work.platform.control, work.base.id, bases.renew_lease):
            descriptor = _take(work)
            _store_descriptor(work, descriptor)
            return _record(work, descriptor)
    except StrongroomError as error:
        _give_up(work, str(error))
        raise
    except (psycopg.Error, OSError) as error:
        _give_up(work, "The server or the disk failed during the base backup.")
        raise FailedError(f"The base backup failed: {str(error).splitlines()[0]}.") from error


def _take(work: Work) -> BaseDescriptor:
    with _session(work) as session:
        archive_mode, timeline, segment = _row(session, _SETTINGS)
        if archive_mode != "on":
            raise RefusedError("PostgreSQL does not archive its log yet: stop and start Strongroom once.")
        work.embedded.spool.open()
        session.execute("SELECT pg_backup_start(%s, fast => true)", (f"strongroom {work.base.id}",))
        parts = _store_parts(work, session.info.server_version)
        databases = session.execute(_DATABASES).fetchall()  # afterwards: one that is not in it is replayed from the log
        session.execute(_STOP)
        stop, label = _row(session, "SELECT pg_walfile_name(lsn), labelfile FROM pg_backup_stop()")
        (stopped_at,) = _row(session, "SELECT clock_timestamp()")
        version = session.info.server_version
    return BaseDescriptor(
        base_id=work.base.id,
        server=work.base.server,
        system_id=work.base.system_id or "",
        server_version=version,
        timeline=timeline,
        segment_bytes=segment,
        start_wal=_start_of(label),
        stop_wal=stop,
        started_at=work.base.started_at.isoformat(),
        stopped_at=stopped_at.astimezone(UTC).isoformat(),
        label=label,
        databases={name: number for name, number, _ in databases if number in parts},
        templates=[number for _, number, is_template in databases if is_template and number in parts],
        parts=parts,
    )


@contextmanager
def _session(work: Work) -> Generator[Session]:
    with open_as(work.platform, work.server, BACKUP, CONTROL) as session:
        session.execute("SET default_transaction_read_only = on")
        yield session


def _store_parts(work: Work, version: int) -> dict[str, Part]:
    numbers = files.database_folders(work.embedded.data)
    with ThreadPoolExecutor(PARALLEL, "base-backup") as pool:
        stored = list(pool.map(partial(_store_part, work, version=version, total=len(numbers)), numbers))
    # Last, because pg_control is best taken late; the databases hold nothing that says where the replay begins.
    return dict(zip(numbers, stored, strict=True)) | {files.CLUSTER: _store_part(work, files.CLUSTER, version)}


def _store_part(work: Work, part: str, version: int, total: int = 0) -> Part:
    data = work.embedded.data
    paths = files.cluster_paths(data) if part == files.CLUSTER else files.database_paths(data, part)
    header = part_header(work.base.id, part, version, work.base.started_at.isoformat())
    name = names.part_object(work.folder, part)
    written = pipeline.write_object(work.store, name, header, TarStream(data, paths), work.keys.recipient)
    work.progress(
        Event(
            work.server.name,
            "the cluster's files are stored" if part == files.CLUSTER else f"database {part} is stored",
            1,
            total + 1,
        )
    )
    return Part(written.size, written.sha256)


def part_header(base_id: str, part: str, version: int, created_at: str) -> Header:
    """Return what stands at the beginning of a part of a base backup."""
    return Header(
        kind=f"{KIND}-{part}",
        backup_id=base_id,
        tenant_id=None,
        schema_revision=None,
        server_version=version,
        created_at=created_at,
    )


def _store_descriptor(work: Work, descriptor: BaseDescriptor) -> None:
    with work.store.create(names.descriptor_object(work.folder)) as target:
        target.write(descriptor.encode(work.keys.identity))


def _record(work: Work, descriptor: BaseDescriptor) -> BaseBackup:
    gap = work.embedded.spool.gap_since()
    if gap and gap >= work.base.started_at:
        raise FailedError("The disk was so full that PostgreSQL let a part of its log go; make room, then try again.")
    done = replace(
        work.base,
        state=bases.STORED,
        timeline=descriptor.timeline,
        start_wal=descriptor.start_wal,
        stop_wal=descriptor.stop_wal,
        size=sum(part.bytes for part in descriptor.parts.values()),
        lease_until=None,
        finished_at=datetime.fromisoformat(descriptor.stopped_at),
    )
    with work.platform.control.begin() as conn:
        if not bases.mark_stored(conn, done):
            raise FailedError("The base backup took so long without a sign of life that it was given up.")
    work.embedded.spool.forget_gap()
    return done


def _give_up(work: Work, sentence: str) -> None:
    with suppress(Exception), work.platform.control.begin() as conn:  # else its lease runs out
        bases.mark_failed(conn, work.base.id, sentence, datetime.now(UTC))
    with suppress(StrongroomError):  # what cannot be removed now, the clearing removes
        remove_base(work.store, work.folder)


def remove_base(store: Store, folder: str) -> int:
    """Remove a base backup's objects, the descriptor first; return how many there were."""
    first = store.delete(names.descriptor_object(folder))
    return first + sum(store.delete(found.name) for found in list(store.list(folder)))


def _start_of(label: str) -> str:
    found = re.search(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)", label, re.MULTILINE)
    if found is None:
        raise FailedError("PostgreSQL's label of the base backup does not say where it begins.")
    return found[1]


def _row(session: Session, query: LiteralString) -> tuple[Any, ...]:
    row = session.execute(query).fetchone()
    assert row is not None
    return row
