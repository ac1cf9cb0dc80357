"""Keeps a set of child processes running until this process is told to end.

A child that ends by itself is started again, after a pause that grows while it keeps failing. Children get a process
group of their own, so that Ctrl-C reaches the supervisor alone and it can end them in order.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ...config.errors import FailedError

logger = logging.getLogger(__name__)

# Until what does not end by itself is killed: first all that use the database, then the database. Below ten together.
_STOP_SECONDS = (6.0, 3.0)
_POLL_SECONDS = 0.2
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 30.0  # a child that ran this long starts again without a pause


@dataclass
class Child:
    """One process to keep: `name` for people, `arguments` for `python -m strongroom`.

    A foundation (the database) ends only when all others have.
    """

    name: str
    arguments: Sequence[str]
    is_foundation: bool = False
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = field(default=0.0)

    @property
    def pause(self) -> float:
        """Seconds to wait before the next start."""
        return min(_LONGEST_PAUSE, 0.5 * 2 ** max(0, self.failures - 1)) if self.failures else 0.0


class Supervisor:
    """Starts, watches and ends children. Use it from the main thread: it takes SIGINT, SIGTERM and SIGHUP."""

    def __init__(self, log_dir: Path | None = None) -> None:
        """Children write to this process's standard error, or to `<log_dir>/<name>.log` where given."""
        self._children: list[Child] = []
        self._log_dir = log_dir
        self._stop = threading.Event()

    def take_signals(self) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP end `watch` instead of this process."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    @property
    def stopping(self) -> bool:
        """Whether the end was asked for."""
        return self._stop.is_set()

    def start(self, name: str, *arguments: str, is_foundation: bool = False) -> Child:
        """Start one more child."""
        child = Child(name, arguments, is_foundation)
        self._spawn(child)
        self._children.append(child)
        return child

    def wait_until(self, ready: Callable[[], bool], child: Child, seconds: float) -> None:
        """Wait for `child` to be `ready`. Raises `FailedError` when it ends instead or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready() and not self.stopping:
            if child.process is not None and child.process.poll() is not None:
                raise FailedError(f"The process “{child.name}” ended while it started{self._hint(child)}.")
            if time.monotonic() > deadline:
                raise FailedError(f"The process “{child.name}” was not ready after {seconds:.0f} s{self._hint(child)}.")
            self._stop.wait(0.05)

    def watch(self) -> None:
        """Keep the children running until a signal comes."""
        while not self._stop.wait(_POLL_SECONDS):
            for child in self._children:
                self._tend(child)

    def end(self) -> None:
        """End all children and kill what has not ended in time. Safe to call twice."""
        self._stop.set()
        for seconds, foundations in zip(_STOP_SECONDS, (False, True), strict=True):
            _end([child for child in self._children if child.is_foundation is foundations], seconds)
        self._children.clear()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _tend(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._spawn(child)
            return
        code = child.process.poll()
        if code is None:
            return
        child.failures = 1 if now - child.started > _STEADY_SECONDS else child.failures + 1
        child.process, child.start_at = None, now + child.pause
        logger.warning("%s ended (%s); it starts again in %.1f s", child.name, _manner(code), child.pause)

    def _spawn(self, child: Child) -> None:
        output = None if self._log_dir is None else (self._log_dir / f"{child.name}.log").open("ab")
        try:
            child.process = subprocess.Popen(
                # -P: the folder we are called from has no say in what is imported
                [sys.executable, "-P", "-m", "strongroom", *child.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output or sys.stderr,
                stderr=output,
                process_group=0,
            )
        except OSError as error:
            raise FailedError(f"The process “{child.name}” cannot be started: {error.strerror}.") from error
        finally:
            if output is not None:
                output.close()
        child.started = time.monotonic()

    def _hint(self, child: Child) -> str:
        return f"; {self._log_dir / child.name}.log says why" if self._log_dir else ""


def _end(children: Sequence[Child], seconds: float) -> None:
    alive = [(child, child.process) for child in children if child.process is not None]
    for _, process in alive:
        process.terminate()
    deadline = time.monotonic() + seconds
    for child, process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.warning("%s did not end in time and is killed", child.name)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _manner(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
