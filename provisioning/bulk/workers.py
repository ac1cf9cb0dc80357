"""Worker processes that make the workspaces of a list side by side, each with a platform of its own.

Processes, not threads: Alembic's `op` is global to a process. They get one row at a time, know no signals, and end when
the pipe to them is closed, so that whatever ends the command ends it between two workspaces.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from ...config.errors import FailedError
from ...config.logging import configure_logging
from ...config.settings import Settings
from ...platform.control.platform import open_platform
from ..building import provisioner_sessions
from .making import Kind, Outcome, make_one
from .rows import Row

_MOST_DEATHS = 3  # of workers, until the reason is taken to be the machine and not the row
_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_PATIENCE = 60.0  # seconds for a worker to end after its last workspace

Done = Callable[[Outcome], None]


def make_all(settings: Settings, rows: Sequence[Row], parallel: int, operator: str, done: Done) -> None:
    """Make the rows' workspaces with `parallel` processes; call `done` after each.

    Whatever interrupts it lets the workspaces that are being made come to their end. Raises `FailedError` when several
    workers end by themselves.
    """
    crew = _Crew(settings, operator, deque(rows), done)
    try:
        for _ in range(min(parallel, len(rows))):
            crew.hire()
        while crew.busy:
            crew.take_results()
    finally:
        crew.dismiss()


@dataclass(frozen=True, slots=True)
class _Worker:
    process: SpawnProcess
    row: Row


class _Crew:
    """The living workers and what each is at work on."""

    def __init__(self, settings: Settings, operator: str, waiting: deque[Row], done: Done) -> None:
        self._settings = settings
        self._operator = operator
        self._waiting = waiting
        self._done = done
        self._deaths = 0
        self._idle: dict[Connection, SpawnProcess] = {}
        self.busy: dict[Connection, _Worker] = {}

    def hire(self) -> None:
        """Start one more worker and give it a row."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        assert isinstance(ours, Connection)  # as everywhere but on Windows
        process = context.Process(target=_work, args=(theirs, self._settings, self._operator), name="bulk")
        resource_tracker.ensure_running()  # starting it, which the first worker does, unblocks the signals again
        with _signals_blocked():  # the worker inherits that, from its first moment on
            process.start()
        theirs.close()
        self._idle[ours] = process
        self._give(ours)

    def take_results(self) -> None:
        """Wait for the next worker that has done its row, and give it another one."""
        for pipe in wait(list(self.busy)):
            assert isinstance(pipe, Connection)
            if self._collect(pipe):
                self._give(pipe)
            elif self._waiting:
                if self._deaths >= _MOST_DEATHS:
                    raise FailedError("Several worker processes ended by themselves; repeat the command.")
                self.hire()

    def dismiss(self) -> None:
        """Wait for the rows at work, and end the workers."""
        self._waiting.clear()
        while self.busy:
            self._collect(next(iter(self.busy)))
        while self._idle:
            pipe, process = self._idle.popitem()
            pipe.close()
            process.join(_PATIENCE)

    def _give(self, pipe: Connection) -> None:
        if not self._waiting:
            return
        row = self._waiting.popleft()
        self.busy[pipe] = _Worker(self._idle.pop(pipe), row)
        with suppress(OSError):  # it is gone: `_collect` finds out
            pipe.send(row)

    def _collect(self, pipe: Connection) -> bool:
        """Take the result of a worker; False if the worker is gone."""
        worker = self.busy[pipe]
        try:
            outcome = pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            outcome, lives = _lost(worker), False
            self._deaths += 1
            pipe.close()
        else:
            lives = True
        del self.busy[pipe]  # only now: an interruption before it leaves the result to be collected
        if lives:
            self._idle[pipe] = worker.process
        self._done(outcome)
        return lives


def _lost(worker: _Worker) -> Outcome:
    sentence = f"The worker process ended by itself ({worker.process.exitcode}); repeat the command."
    return Outcome(worker.row.line, worker.row.slug, Kind.FAILED, sentence=sentence)


def _work(pipe: Connection, settings: Settings, operator: str) -> None:
    """The worker: rows in, outcomes out, until the pipe is closed."""
    configure_logging()
    with open_platform(settings) as platform, provisioner_sessions(platform) as sessions:
        try:
            while True:
                pipe.send(make_one(platform, sessions, pipe.recv(), operator))
        except (EOFError, ConnectionError):
            return  # the command has ended, or was killed


@contextmanager
def _signals_blocked() -> Generator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
