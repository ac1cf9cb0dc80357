"""A throw-away PostgreSQL server (fsync off) into which backups are restored to prove them.

Its only login is no superuser, so that nothing in a dump runs with rights over the server.
"""

import secrets
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ..config.settings import Settings
from ..provisioning.postgres.scratch import ScratchServer, scratch
from ..provisioning.sessions import Session
from .tools import Target

_IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ScratchDatabase:
    """One empty database of a scratch server, and what `pg_restore` needs to fill it."""

    session: Session  # of the role that owns everything in it
    target: Target


class ScratchPool:
    """Starts a scratch server when it is first needed, and lets all verifications share it.

    Safe for several threads. With `linger` the server is stopped when nobody has used it for a minute; else by `close`.
    """

    def __init__(self, settings: Settings, *, linger: bool = False) -> None:
        """Starts nothing yet."""
        self._settings = settings
        self._linger = linger
        self._lock = threading.Lock()
        self._running = ExitStack()
        self._server: ScratchServer | None = None
        self._free: list[str] = []  # empty databases of the running server
        self._users = 0
        self._timer: threading.Timer | None = None

    @contextmanager
    def database(self) -> Generator[ScratchDatabase]:
        """Yield an empty database that is nobody else's meanwhile; what was put into it is gone afterwards."""
        server = self._enter()
        try:
            with self._taken(server) as name, _connect(server, name) as session:
                yield ScratchDatabase(session, Target(server.bindir, server.conninfo(name)))
        finally:
            self._leave()

    def close(self) -> None:
        """Stop and remove the server, if one runs."""
        with self._lock:
            self._stop()

    @contextmanager
    def _taken(self, server: ScratchServer) -> Generator[str]:
        name = self._take(server)
        try:
            yield name
        finally:
            if _empty(server, name):
                self._free.append(name)

    def _take(self, server: ScratchServer) -> str:
        try:
            return self._free.pop()
        except IndexError:
            name = f"verify_{secrets.token_hex(6)}"
            with _connect(server, "postgres") as session:
                session.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            return name

    def _enter(self) -> ScratchServer:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._server is not None and not self._server.is_running():
                self._stop()  # whoever uses it has lost it already
            if self._server is None:
                self._server = self._running.enter_context(scratch(self._settings))
            self._users += 1
            return self._server

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._linger and self._users == 0:
                self._timer = threading.Timer(_IDLE_SECONDS, self._stop_idle)
                self._timer.daemon = True
                self._timer.start()

    def _stop_idle(self) -> None:
        with self._lock:
            if self._users == 0:
                self._stop()

    def _stop(self) -> None:
        self._server = None
        self._free.clear()
        self._running.close()


def _empty(server: ScratchServer, name: str) -> bool:
    """Remove what a restore has put into a database, if that goes well: making a new one takes ten times as long."""
    try:
        with _connect(server, name) as session:
            session.execute("SET lock_timeout = '10s'")
            session.execute("DROP OWNED BY CURRENT_USER CASCADE")
    except psycopg.Error:
        return False
    return True


def _connect(server: ScratchServer, database: str) -> Session:
    return psycopg.connect(server.conninfo(database), autocommit=True)
