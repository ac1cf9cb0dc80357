"""The way back for the embedded server: our own base backups, and the log that our archiver has stored."""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from ...config.errors import NotFoundError, VerificationError
from ...platform.control.platform import Platform
from ...platform.servers import bases
from ...platform.servers.bases import BaseBackup
from ...platform.servers.records import Server
from ...provisioning.names import BACKUP, CONTROL
from ...provisioning.postgres.recovering import Room, recovering
from ...provisioning.sessions import open_as
from .. import pipeline
from ..pipeline import Written
from ..progress import Event, Progress
from ..stores.contract import Store
from . import files, names
from .archiver import archive_once
from .base import part_header
from .descriptor import BaseDescriptor
from .feeding import Feeder, Log
from .pieces import Origin
from .places import archive_store, archive_store_name
from .source import Recovered, replay_failures
from .tar import Unpacking
from .window import Window, window_of

_PARALLEL = 3
# The replay ends at the first commit after the moment. The next transaction is one.
_COMMIT = "SELECT pg_current_xact_id()"
_SWITCH = "SELECT pg_walfile_name(pg_switch_wal() - 1), (SELECT system_identifier::text FROM pg_control_system())"


@dataclass(frozen=True, slots=True)
class EmbeddedArchive:
    """`LogArchive` of the embedded server."""

    platform: Platform
    server: Server

    def window(self) -> Window | None:
        """Return the moments that can be had back; see `LogArchive.window`."""
        with self.platform.control.connect() as conn:
            stored = bases.in_state(conn, bases.STORED, self.server.name)
        return window_of(stored, self.platform.settings.point_in_time_days, datetime.now(UTC))

    @contextmanager
    def recovered(self, database: str, at: datetime, progress: Progress) -> Generator[Recovered]:
        """Yield a server in which `database` is as it was at `at`; see `LogArchive.recovered`."""
        base = self._base(at)
        last = self._end_piece(base)
        store = archive_store(self.platform.settings, base.store)
        descriptor = self._descriptor(store, base)
        feeder = Feeder(
            log=self._log(store, base),
            segment_bytes=descriptor.segment_bytes,
            first=descriptor.start_wal,
            last=last,
            help_along=partial(archive_once, self.platform.settings),
        )
        fill = partial(self._fill, store, base, descriptor, database, progress)
        with replay_failures(at), recovering(self.platform.settings, BACKUP, at, fill, feeder.running) as server:
            yield Recovered(server.conninfo(database), server.bindir)

    def _base(self, at: datetime) -> BaseBackup:
        with self.platform.control.connect() as conn:
            base = bases.before(conn, self.server.name, at)
        if base is None:
            raise NotFoundError(f"There is no base backup of the server “{self.server.name}” from before that time.")
        return base

    def _end_piece(self, base: BaseBackup) -> str | None:
        """Commit something, and have PostgreSQL end the piece of the log that it is writing; return its name.

        None where it is another server's data by now: what the archive has of that one is all there is.
        """
        with open_as(self.platform, self.server, BACKUP, CONTROL) as session:
            session.execute(_COMMIT)
            row = session.execute(_SWITCH).fetchone()
        assert row is not None
        return str(row[0]) if row[1] == base.system_id else None

    def _descriptor(self, store: Store, base: BaseBackup) -> BaseDescriptor:
        folder = names.base_folder(base.server, base.system_id or "", base.id)
        with store.open(names.descriptor_object(folder)) as file:
            descriptor = BaseDescriptor.decode(file.read(), self.platform.keys.archive(base.archive_key).identity)
        if descriptor.base_id != base.id:
            raise VerificationError(f"The descriptor of the base backup {base.id} is that of another one.")
        return descriptor

    def _log(self, store: Store, base: BaseBackup) -> Log:
        settings = self.platform.settings
        stores = [store] if base.store == archive_store_name(settings) else [store, archive_store(settings)]
        return Log(stores, self.platform.keys, Origin(base.server, base.system_id or ""), base.archive_key)

    def _fill(
        self,
        store: Store,
        base: BaseBackup,
        descriptor: BaseDescriptor,
        database: str,
        progress: Progress,
        room: Room,
    ) -> None:
        """Put the cluster's files and those of one database in place, and empty folders for all other databases.

        Without its folder a database that is replayed from the log would stop the recovery.
        """
        progress(Event(database, "fetching the base backup", 1, 2))
        for number in ("", *descriptor.parts):
            if number != files.CLUSTER:
                self._make_folder(room, f"base/{number}".rstrip("/"))
        wanted = (files.CLUSTER, *_databases(descriptor, database))
        with ThreadPoolExecutor(_PARALLEL, "base-fetch") as pool:
            list(pool.map(partial(self._fetch, store, base, descriptor, room), wanted))
        label = room.data / "backup_label"
        label.write_text(descriptor.label, encoding="utf-8")
        room.account.own(label)
        progress(Event(database, "replaying the log", 2, 2))

    def _make_folder(self, room: Room, name: str) -> None:
        folder = room.data / name
        folder.mkdir(mode=0o700)
        room.account.own(folder)

    def _fetch(self, store: Store, base: BaseBackup, descriptor: BaseDescriptor, room: Room, part: str) -> None:
        account, wanted = room.account, descriptor.parts[part]
        folder = names.base_folder(base.server, base.system_id or "", base.id)
        header = part_header(base.id, part, descriptor.server_version, descriptor.started_at)
        owner = (account.uid, account.gid) if account.switch else (-1, -1)
        unpacking = Unpacking(room.data, *owner)
        try:
            pipeline.read_object(
                store,
                names.part_object(folder, part),
                Written(wanted.bytes, wanted.sha256),
                header,
                self.platform.keys.archive(base.archive_key).identity,
                unpacking,
            )
            unpacking.finish()
        finally:
            unpacking.close()


def _databases(descriptor: BaseDescriptor, database: str) -> Sequence[str]:
    """Return the databases that the recovery needs: where one did not exist yet, those that it may be copied from."""
    number = descriptor.databases.get(database)
    return [number] if number else descriptor.templates
