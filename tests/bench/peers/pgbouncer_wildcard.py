"""A database per tenant behind PgBouncer's fallback database `*`, with one login for all, and no pool in the process.

After PgBouncer's documentation, “Section [databases]”, and SQLAlchemy's on PostgreSQL, “Using NullPool with PgBouncer”:
transaction pooling, no server-side prepared statements, everything else as it comes.
"""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, NullPool, create_engine, event

from strongroom.provisioning.postgres.account import server_account

from .engine_per_tenant import database_of, make_databases
from .peer_schema import marker_query, own_tables
from .peer_server import PASSWORD, ROLE, PeerServer, Request, as_many_files_as_allowed

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
_SETTINGS = """\
[databases]
* = host={server.socket} port={server.port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {server.folder}/pgbouncer-users.txt
pool_mode = transaction
max_client_conn = 1000
log_connections = 0
log_disconnections = 0
log_pooler_errors = 0
"""
_running: dict[int, subprocess.Popen[bytes]] = {}  # by port: what this process has started


def is_installed() -> bool:
    """Say whether this peer can be measured here."""
    return shutil.which("pgbouncer", path=_PATH) is not None


@dataclass(frozen=True)
class PgBouncerWildcard:
    """One engine without a pool; PgBouncer keeps the sessions, by database."""

    server: PeerServer
    port: int
    name: str = "PgBouncer wildcard, shared login"
    affinity: bool = False

    @classmethod
    def on(cls, server: PeerServer) -> "PgBouncerWildcard":
        """Choose a free port."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return cls(server, listener.getsockname()[1])

    def set_up(self, tenants: int) -> float:
        """Make so many tenants, start PgBouncer, and return the milliseconds for each tenant."""
        self.server.make_role()
        spent = make_databases(self.server, tenants)
        self._start()
        return spent

    @contextmanager
    def opened(self) -> Generator[Request]:
        """Yield what makes requests in this process."""
        query = marker_query(own_tables())
        wanted = threading.local()
        address = URL.create("postgresql+psycopg", ROLE, PASSWORD, "127.0.0.1", self.port)
        engine = create_engine(address, poolclass=NullPool, connect_args={"prepare_threshold": None})

        def choose(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
            parameters["dbname"] = wanted.database

        event.listen(engine, "do_connect", choose)

        def request(index: int) -> object:
            wanted.database = database_of(index)
            with engine.connect() as conn:
                return conn.execute(query).scalar_one()

        yield request

    def tear_down(self) -> None:
        """Stop PgBouncer and drop everything."""
        process = _running.pop(self.port)
        process.terminate()
        process.wait()
        self.server.drop_role()

    def _start(self) -> None:
        account = server_account()
        files = {
            "pgbouncer.ini": _SETTINGS.format(server=self.server, port=self.port),
            "pgbouncer-users.txt": f'"{ROLE}" "{PASSWORD}"\n',
        }
        for name, content in files.items():
            path = self.server.folder / name
            path.write_text(content)
            path.chmod(0o600)
            account.own(path)
        as_many_files_as_allowed()  # PgBouncer inherits it
        command = [
            shutil.which("pgbouncer", path=_PATH) or "pgbouncer",
            "-q",
            str(self.server.folder / "pgbouncer.ini"),
        ]
        _running[self.port] = subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **account.keywords)
        _wait_for(self.port)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("PgBouncer does not answer.")
