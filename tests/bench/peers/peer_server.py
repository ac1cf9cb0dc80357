"""A PostgreSQL server for the peers, configured exactly as ours is, with passwords instead of our logins."""

import resource
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL

from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres.account import current_user
from strongroom.provisioning.postgres.cluster import Cluster, physical_memory
from strongroom.provisioning.postgres.configuration import PORT, SUPERUSER, ident_text, settings_text
from strongroom.provisioning.postgres.embedded import EmbeddedServer

Request = Callable[[int], object]  # makes one request to the tenant of that index and returns its marker
ROLE, PASSWORD = "peer", "not-secret-and-gone-after-the-bench"
_RULES = f"local all {SUPERUSER} peer map=strongroom\nlocal all all scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class PeerServer:
    """Where it is, and a folder for a peer's own files. Can be handed to another process."""

    folder: Path
    socket: str
    port: int = PORT

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the superuser, in autocommit mode."""
        return psycopg.connect(host=self.socket, port=self.port, user=SUPERUSER, dbname=database, autocommit=True)

    def url(self, database: str) -> URL:
        """SQLAlchemy's address of a database, with the application's login."""
        return URL.create(
            "postgresql+psycopg", ROLE, PASSWORD, database=database, query={"host": self.socket, "port": str(self.port)}
        )

    def make_role(self) -> None:
        """Make the application's login, which may create databases and is nothing more."""
        with self.admin() as admin:
            admin.execute(f"DROP ROLE IF EXISTS {ROLE}")
            admin.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{PASSWORD}'")

    def drop_role(self) -> None:
        """Drop what the application's login owns, and the login."""
        with self.admin() as admin:
            owned = admin.execute("SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s", (ROLE,))
            for (name,) in owned.fetchall():
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            admin.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


@contextmanager
def peer_server(where: Path | None = None) -> Generator[PeerServer]:
    """Run a fresh server for the length of the block, `where` or on the disk that holds the temporary files."""
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=where) as name:
        folder = Path(name)
        folder.chmod(0o755)
        home = folder / "home"
        home.mkdir()
        programs = EmbeddedServer(load_settings(home))
        account = programs.account
        socket = folder / "s"
        socket.mkdir()
        account.own(socket)
        cluster = Cluster(programs.root / "peers", programs.bindir, account)
        cluster.create("--data-checksums")
        cluster.configure(settings_text(socket, physical_memory()), _RULES, ident_text(current_user()))
        cluster.start(folder / "postgres.log")
        try:
            yield PeerServer(folder, str(socket))
        finally:
            cluster.stop()


def as_many_files_as_allowed() -> None:
    """Raise the soft limit of open files: a pool per tenant, or a pooler, needs one for each connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
