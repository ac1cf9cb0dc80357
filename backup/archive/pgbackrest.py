"""The way back for servers whose base backups and log pgBackRest keeps.

pgBackRest restores a whole server's files. Those of all databases but one stay empty shells, yet the catalog of all
roles comes along: so it goes into a throw-away instance that only our own account reaches, and that is removed.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg

from ...config.errors import FailedError, NotFoundError
from ...config.pgbackrest import Stanza
from ...platform.control.platform import Platform
from ...platform.servers.records import Server
from ...provisioning.names import BACKUP, TEMPLATE
from ...provisioning.postgres.account import server_account
from ...provisioning.postgres.replaying import replayed
from ...provisioning.sessions import Session, provisioner
from ..progress import Event, Progress
from .source import Recovered, replay_failures
from .stanza import PgBackRest
from .window import Window

_PATIENCE = 300.0  # seconds for pgBackRest to archive the newest piece of the log
_PAUSE = 0.1
_GRAIN = timedelta(seconds=1)  # pgBackRest takes a base backup from before the second that is asked for
# The replay ends at the first commit after the moment. This is one, whatever else happens on the server.
_COMMIT = "SELECT pg_current_xact_id()"
_SWITCH = "SELECT pg_walfile_name(pg_switch_wal() - 1)"
_ARCHIVED = "SELECT left(last_archived_wal, 24) >= %s AND last_archived_wal !~ 'history' FROM pg_stat_archiver"


@dataclass(frozen=True, slots=True)
class PgBackRestArchive:
    """`LogArchive` of a server that has a stanza."""

    platform: Platform
    server: Server
    stanza: Stanza

    def window(self) -> Window | None:
        """Return the moments that can be had back: how far pgBackRest's own retention reaches."""
        ends = self._program().backups()
        return Window(ends[0] + _GRAIN, datetime.now(UTC)) if ends else None

    @contextmanager
    def recovered(self, database: str, at: datetime, progress: Progress) -> Generator[Recovered]:
        """Yield a server in which `database` is as it was at `at`; see `LogArchive.recovered`."""
        progress(Event(database, "having the log archived", 1, 2))
        with provisioner(self.platform, self.server) as session:
            _archive_everything(session)
        progress(Event(database, "restoring the server and replaying its log", 2, 2))
        with replay_failures(at), replayed(self.platform.settings, BACKUP, partial(self._fill, database, at)) as server:
            yield Recovered(server.conninfo(database), server.bindir)

    def _fill(self, database: str, at: datetime, data: Path) -> None:
        """A database younger than the base backup comes out of the log, for which its template has to be there."""
        program = self._program()
        for databases in ([database], [TEMPLATE], []):
            if program.restore(data, databases, at):
                return
        raise NotFoundError(f"pgBackRest has no backup of the server “{self.server.name}” with that workspace.")

    def _program(self) -> PgBackRest:
        return PgBackRest(self.stanza, server_account())


def _archive_everything(session: Session) -> None:
    """Commit something, end the piece of the log that is being written, and wait until it is archived."""
    session.execute(_COMMIT)
    try:
        row = session.execute(_SWITCH).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise FailedError("This server was set up before; run `strongroom server add` for it once more.") from error
    assert row is not None
    deadline = time.monotonic() + _PATIENCE
    while session.execute(_ARCHIVED, row).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise FailedError("pgBackRest does not archive the server's log: look at pg_stat_archiver there.")
        time.sleep(_PAUSE)
