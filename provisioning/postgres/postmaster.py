"""The server process of a data folder, as `postmaster.pid` and the process list tell of it."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from ...config.errors import FailedError
from .account import Account
from .programs import clean_environment

PID_FILE = "postmaster.pid"


def running_pid(data: Path) -> int | None:
    """Return the id of the server process of `data`, None if there is none.

    A process that has ended but was never waited for, and a stranger that got the number, do not count.
    """
    written = _written(data)
    return written[0] if written and _is_server(written[0], data) else None


def remove_stale_pid_file(data: Path) -> None:
    """Remove a lock file whose process is gone. The caller holds the lock under which servers are started."""
    if running_pid(data) is None:
        (data / PID_FILE).unlink(missing_ok=True)


def spawn(bindir: Path, data: Path, account: Account, log: IO[bytes]) -> int:
    """Start a server process that outlives us, and return its id; its words go to `log`."""
    # The shell only puts it into the background, so that it is nobody's child that must be waited for. (pg_ctl does it
    # through a shell command of its own making, which breaks on folder names with quotes.)
    detach = ["/bin/sh", "-c", '"$0" "$@" >&2 & echo $!', str(bindir / "postgres"), "-D", str(data)]
    try:
        shell = subprocess.Popen(
            detach,
            env=clean_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us
            **account.keywords,
        )
        return int(shell.communicate()[0])
    except (OSError, ValueError) as error:
        raise FailedError(f"{bindir / 'postgres'} cannot be run.") from error


def wait_until_ready(pid: int, data: Path, seconds: float, log: Path) -> bool:
    """Wait until the server process `pid` accepts connections; False if it ended first, or was silent for too long.

    A server that replays its log says so every ten seconds in the file `log`; to end it would make it start over.
    """
    deadline, said = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        if said != (said := log.stat().st_size):
            deadline = time.monotonic() + seconds
        alive = _lives(pid)
        if _written(data) == (pid, "ready"):
            return True
        if not alive:
            return False
        time.sleep(0.005)
    return False


def send(data: Path, signal_number: signal.Signals) -> int | None:
    """Send a signal to the server process of `data`; return that process's id, None if there is none."""
    pid = running_pid(data)
    if pid is not None:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal_number)
    return pid


def end(data: Path, signal_number: signal.Signals, seconds: float) -> None:
    """Send a signal to the server process of `data`, if there is one, and wait that long for its end."""
    pid = send(data, signal_number)
    deadline = time.monotonic() + seconds
    while pid is not None and running_pid(data) == pid and time.monotonic() < deadline:
        time.sleep(0.005)


def _written(data: Path) -> tuple[int, str] | None:
    """Return the process id and the status in the lock file: its first and its eighth line (miscadmin.h)."""
    try:
        lines = (data / PID_FILE).read_text(encoding="utf-8", errors="replace").split("\n")
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
    except (FileNotFoundError, ValueError):
        return None


def _is_server(pid: int, data: Path) -> bool:
    return _lives(pid) and os.fsencode(data) in _arguments(pid)


def _lives(pid: int) -> bool:
    """Say whether a process runs; one that has ended but was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
