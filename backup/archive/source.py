"""The way back to a point in time, whoever keeps a server's base backups and log.

The embedded server's is `embedded.py`; for servers that pgBackRest archives it is `pgbackrest.py`.
"""

import re
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import psycopg

from ...config.errors import FailedError, NotFoundError, UnavailableError, VerificationError
from ...provisioning.sessions import Session
from ..progress import Progress
from ..tools import Target
from .window import Window

_NONE = re.compile(r'database "[^"]*" (does not exist|is not currently accepting connections)')
_TOO_EARLY = "recovery ended before configured recovery target was reached"


@contextmanager
def replay_failures(at: datetime) -> Generator[None]:
    """Say why the throw-away server of `at` does not come up: `VerificationError` for a log that ends too early."""
    try:
        yield
    except UnavailableError as error:
        if _TOO_EARLY in str(error):
            raise VerificationError(f"The archived log ends before {at.isoformat()}.") from error
        raise FailedError(f"The server of that time does not start: {error}") from error


@dataclass(frozen=True, slots=True)
class Recovered:
    """A running throw-away server in which a database is as it was at a moment.

    `conninfo` leads to that database, as a role that may read all of it and is no superuser; it holds no secret.
    """

    conninfo: str
    bindir: Path  # programs that fit the server
    service_file: Path | None = None  # where `conninfo` names a service

    @property
    def target(self) -> Target:
        """What `pg_dump` needs."""
        return Target(self.bindir, self.conninfo, self.service_file)

    @contextmanager
    def session(self) -> Generator[Session]:
        """Yield a session, in autocommit mode. Raises `NotFoundError` if there was no such database, `FailedError`."""
        try:
            session = psycopg.connect(self.conninfo, autocommit=True, options="-c search_path=pg_catalog")
        except psycopg.OperationalError as error:
            if _NONE.search(str(error)):
                raise NotFoundError("The workspace had no database of its own yet at that time.") from error
            raise FailedError(f"The recovered server does not let us in: {str(error).splitlines()[0]}.") from error
        with session:
            yield session


class LogArchive(Protocol):
    """Base backups and log of one server."""

    def window(self) -> Window | None:
        """Return the moments that can be had back; None while there is no base backup. Raises `FailedError`."""
        ...

    def recovered(self, database: str, at: datetime, progress: Progress) -> AbstractContextManager[Recovered]:
        """Yield a server in which `database` is as it was at `at`, to the transaction; nothing of it is left then.

        `at` lies in the window. Makes sure that a transaction is committed after `at`, and that the log up to it is
        archived. Several may run side by side. Raises `VerificationError` for a damaged or missing part, `FailedError`;
        that there was no such database then is found by the first session.
        """
        ...
