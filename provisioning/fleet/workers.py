"""Several upgrades side by side: threads where statements are enough, processes where a database needs Alembic.

Alembic's `op` is global to the process: threads would run each other's statements.
"""

import multiprocessing
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.util import Finalize
from pathlib import Path

import psycopg
from sqlalchemy import Connection

from ...config.errors import StrongroomError, UnavailableError
from ...config.settings import Settings
from ...platform.control.platform import Platform, open_platform
from ...platform.servers.records import Server
from ..names import Names
from . import queries
from .database import Patience, shape_of, upgrade_database
from .expected import Expected
from .queries import Database


@dataclass(frozen=True, slots=True)
class Order:
    """What all upgrades of one run have in common. `servers`: each with what its template looks like."""

    servers: dict[str, tuple[Server, Expected]]
    folder: Path
    patience: Patience
    parallel: int
    needs_python: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one database; `failure` is None when it is at the newest revision, or nothing is to be done."""

    database: Database
    failure: str | None = None
    busy: bool = False  # left, because it was in somebody else's hands
    gone: bool = False  # its tenant lives in another one by now, or it is being dropped
    differs: bool = False  # the failure is that its schema is not the template's


class Workers:
    """Upgrades databases, `order.parallel` at a time."""

    def __init__(self, platform: Platform, order: Order, executor: Executor) -> None:
        self._platform = platform
        self._order = order
        self._executor = executor

    def upgrade(self, databases: Iterable[Database]) -> Generator[Outcome]:
        """Yield each outcome as it comes; when the caller stops asking, no further database is begun."""
        yield from self._each("upgrade", databases)

    def compare(self, databases: Iterable[Database]) -> Generator[Outcome]:
        """Yield for each database whether it looks like its server's template; changes and notes nothing."""
        yield from self._each("compare", databases)

    def _each(self, task: str, databases: Iterable[Database]) -> Generator[Outcome]:
        waiting, running = iter(databases), set[Future[Outcome]]()
        try:
            while True:
                running |= self._submitted(task, waiting, self._order.parallel - len(running))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            wait(running)

    def _submitted(self, task: str, waiting: Iterator[Database], free: int) -> set[Future[Outcome]]:
        chosen = list(islice(waiting, free))
        if self._order.needs_python:
            return {self._executor.submit(_in_process, task, self._order, database) for database in chosen}
        return {self._executor.submit(_TASKS[task], self._platform, self._order, database) for database in chosen}


@contextmanager
def workers(platform: Platform, order: Order) -> Generator[Workers]:
    """Yield workers that end with the block."""
    if order.needs_python:
        context = multiprocessing.get_context("spawn")  # a forked one would share connections with this process
        executor: Executor = ProcessPoolExecutor(order.parallel, context, _open, (platform.settings,))
    else:
        executor = ThreadPoolExecutor(order.parallel, "fleet")
    with executor:
        yield Workers(platform, order, executor)


def upgrade_one(platform: Platform, order: Order, database: Database) -> Outcome:
    """Upgrade one database and note it. What goes wrong is noted too, and never raised."""
    revision = order.servers[database.server][1].revision
    with platform.control.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        if not queries.start(conn, revision, database):
            return Outcome(database, busy=True)
        try:
            now = queries.again(conn, database.placement_id)
            if now is None:
                queries.settle(conn, revision, database.placement_id)
                return Outcome(database, gone=True)
            if now.lock != database.lock:  # a spare that a workspace has taken: what is held is not its lock
                return Outcome(database, busy=True)
            return _upgrade(platform, conn, order, database)
        finally:
            queries.release(conn, database)


def _upgrade(platform: Platform, conn: Connection, order: Order, database: Database) -> Outcome:
    server, expected = order.servers[database.server]
    names = Names(database.placement_id)
    try:
        upgrade_database(platform, server, names, expected, order.folder, order.patience)
    except StrongroomError as error:
        queries.fail(conn, expected.revision, database.placement_id, str(error))
        return Outcome(database, str(error))
    queries.finish(conn, expected.revision, database)
    return Outcome(database)


def compare_one(platform: Platform, order: Order, database: Database) -> Outcome:
    """Compare one database with the template of its server."""
    server, expected = order.servers[database.server]
    try:
        found = shape_of(platform, server, Names(database.placement_id))
    except (UnavailableError, psycopg.OperationalError):
        return _unreached(platform, database)
    except StrongroomError as error:
        return Outcome(database, str(error), differs=True)
    if found == (expected.revision, expected.shape):
        return Outcome(database)
    return Outcome(database, "Its schema is not the template's.", differs=True)


def _unreached(platform: Platform, database: Database) -> Outcome:
    with platform.control.connect() as conn:
        if queries.again(conn, database.placement_id) is None:
            return Outcome(database, gone=True)
    return Outcome(database, "It was upgraded, but does not answer, so it was not compared with the template.")


_TASKS = {"upgrade": upgrade_one, "compare": compare_one}
_opened: list[Platform] = []  # of a worker process


def _open(settings: Settings) -> None:
    stack = ExitStack()
    _opened.append(stack.enter_context(open_platform(settings)))
    Finalize(None, stack.close, exitpriority=10)


def _in_process(task: str, order: Order, database: Database) -> Outcome:
    return _TASKS[task](_opened[0], order, database)
