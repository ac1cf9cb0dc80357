"""The PostgreSQL of a home that many tests share: whatever happens to the machine, nobody needs its data again."""

import signal
from collections.abc import Generator
from contextlib import contextmanager

from strongroom.config.settings import Settings
from strongroom.provisioning.postgres import postmaster
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.setup import set_up

# Stands where ALTER SYSTEM would write it, so that it counts from the first start. What kill -9 leaves is all there.
_SETTINGS = "fsync = off\n"
WITHOUT_ARCHIVE = "archive_mode = off\nfull_page_writes = off\n"  # what is archived needs whole pages


@contextmanager
def disposable_server(settings: Settings, more: str = "") -> Generator[EmbeddedServer]:
    """Set the home up and keep its server running inside the block; `more` are further lines of its settings."""
    server = EmbeddedServer(settings)
    server.initialise()
    with (server.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write(_SETTINGS + more)
    set_up(settings, server)
    with server.session():
        yield server
        postmaster.end(server.data, signal.SIGQUIT, 5)  # else it would write gigabytes that are removed next
