"""The embedded PostgreSQL server of a home: reached through its Unix socket only, kept running by its users."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from ...config.errors import FailedError, RefusedError, UnavailableError
from ...config.settings import Settings
from ...platform.control.address import Address, write_address
from . import configuration, door
from .account import Account, server_account
from .cluster import Cluster, physical_memory
from .locks import FileLock, exclusive, is_held
from .places import Places, prepare, private_folder, socket_dir
from .spool import SCRIPT, Spool


class EmbeddedServer:
    """One per home. Any number of processes may use it; `session` is how they do."""

    port = configuration.PORT

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def bindir(self) -> Path:
        """Folder of PostgreSQL's programs, readable for the server's account."""
        return self._places.bindir

    @property
    def root(self) -> Path:
        """Folder that holds the data folder, and those of throw-away instances."""
        return self._places.root

    @cached_property
    def account(self) -> Account:
        """Account that the server runs as."""
        return server_account()

    @cached_property
    def socket_dir(self) -> Path:
        """Folder of the Unix socket: what clients call the host."""
        return socket_dir(self.root, self._settings.run_dir / "pg", self.account)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.root / "data"

    @property
    def spool(self) -> Spool:
        """Where the server leaves finished pieces of its log."""
        return Spool(self.root, self.account)

    @property
    def log(self) -> Path:
        """File with the server's own words."""
        return self._settings.log_dir / "postgres.log"

    def initialise(self) -> None:
        """Make the data folder if there is none. Idempotent; safe when several processes do it at once.

        Raises `RefusedError` if the home belongs to somebody else, `FailedError` if the disk is full.
        """
        with exclusive(self.start_lock):
            if not self._cluster.exists():
                self._cluster.create("--data-checksums")

    def start(self) -> None:
        """Start the server unless it runs, and record its address. Raises `FailedError` with the server's reason."""
        with exclusive(self.start_lock):
            self._start()

    def stop(self) -> None:
        """Stop the server, whoever uses it. Does nothing if it is not running."""
        with exclusive(self.start_lock):
            self._stop()

    def is_running(self) -> bool:
        """Say whether the server process lives."""
        return self._settings.postgres_dir.exists() and self._cluster.is_running()

    @contextmanager
    def session(self) -> Generator["EmbeddedServer"]:
        """Keep the server running inside the block: start it if need be; the last one out stops it.

        A user that is killed leaves without stopping it; the next last one does.
        """
        start_lock = self.start_lock
        users = FileLock(self._settings.run_dir / "postgres.users")
        try:
            with exclusive(start_lock):
                users.share()
                self._start()
            yield self
        finally:
            with exclusive(start_lock):
                if users.try_take():
                    self._stop()
                users.close()

    def admin_dsn(self, dbname: str = "postgres") -> str:
        """Return the connection string of the superuser, who needs no password: the kernel says who we are.

        It leads nowhere outside of `admin_door`.
        """
        return make_conninfo(host=str(self.socket_dir), port=self.port, user=configuration.SUPERUSER, dbname=dbname)

    @contextmanager
    def admin_door(self) -> Generator[None]:
        """Let our own account be the superuser of the running server inside the block; nobody is at any other time.

        Several processes may hold the door; the last one out shuts it and ends what sessions of the superuser are left.
        What a holder that was killed leaves open is shut by the next start or holder.
        """
        holders = FileLock(self._door_lock)
        try:
            with exclusive(self.start_lock):
                holders.share()
                door.open_door(self._cluster, self._try_admin)
            yield
        finally:
            with exclusive(self.start_lock):
                if holders.try_take():
                    door.shut_door(self._cluster, self._try_admin)
                holders.close()

    def admin_door_is_held(self) -> bool:
        """Say whether a living process holds the door open."""
        with exclusive(self.start_lock):  # who asks holds it for a moment, and must not be taken for one who does
            return is_held(self._door_lock)

    def connect_admin(self, dbname: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the superuser, in autocommit mode, inside `admin_door`.

        Raises `RefusedError` outside of it, `UnavailableError` when the server does not answer.
        """
        try:
            return self._try_admin(dbname)
        except psycopg.OperationalError as error:
            if door.is_shut(error):
                raise RefusedError("Nobody is the superuser of the embedded PostgreSQL but for its set-up.") from error
            raise UnavailableError(f"The embedded PostgreSQL does not let us in: {_first_line(error)}.") from error

    def _try_admin(self, dbname: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.admin_dsn(dbname), autocommit=True, connect_timeout=10)

    def _start(self) -> None:
        cluster = self._cluster
        held = is_held(self._door_lock)
        if not cluster.exists():
            raise FailedError(f"There is no database server in {self._settings.home} yet; run: strongroom init")
        if not cluster.is_running():
            self._clear_socket_dir()
            self.spool.write_script()
            cluster.configure(
                configuration.settings_text(self.socket_dir, physical_memory())
                + configuration.archive_settings_text(SCRIPT),
                *door.rules(open_to_admin=held),
            )
            cluster.start(self.log)
        elif not held and door.is_open(cluster):
            door.shut_door(cluster, self._try_admin)
        write_address(self._settings, Address(str(self.socket_dir), self.port))

    def _clear_socket_dir(self) -> None:
        """Make the folder, without what a killed server left: its lock's number may be another process's by now."""
        for left in private_folder(self.socket_dir, self.account).glob(".s.PGSQL.*"):
            left.unlink()

    def _stop(self) -> None:
        self._cluster.stop()
        with suppress(OSError):  # gone already, or something else is in it
            self.socket_dir.rmdir()

    @cached_property
    def _places(self) -> Places:
        return prepare(self._settings, self.account)

    @cached_property
    def _cluster(self) -> Cluster:
        return Cluster(self.data, self.bindir, self.account)

    @property
    def _door_lock(self) -> Path:
        return self.start_lock.with_name(door.LOCK)

    @cached_property
    def start_lock(self) -> Path:
        """File to lock while an instance of this home is started or stopped."""
        assert self._places  # makes the folder that it lies in
        return self._settings.run_dir / "postgres.lock"


def _first_line(error: psycopg.Error) -> str:
    return (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
