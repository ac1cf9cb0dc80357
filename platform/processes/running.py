"""The lock that lets one `strongroom up` run per home, and the note it leaves for the other commands."""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ...config.errors import FailedError, RefusedError
from ...config.settings import Settings


@dataclass(frozen=True, slots=True)
class Running:
    """What is known about the `up` that holds a home."""

    pid: int
    https_port: int
    http_port: int
    metrics_port: int


@contextmanager
def held(settings: Settings) -> Generator[None]:
    """Hold the home while the block runs; the kernel lets go of it with the process.

    Raises `RefusedError` when another `up` holds it, `FailedError` when the home cannot be written.
    """
    path = _note(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FailedError(f"{settings.home} cannot be used: {error.strerror} ({error.filename}).") from error
    try:
        if not _lock(descriptor, fcntl.LOCK_EX):
            found = _read(path)
            who = f" (process {found.pid}, {settings.base_domain}:{found.https_port})" if found else ""
            raise RefusedError(f"Strongroom is already running in {settings.home}{who}; stop it first or use --home.")
        note = Running(os.getpid(), settings.https_port, settings.http_port, settings.metrics_port)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(asdict(note)).encode())
        yield
    finally:
        os.close(descriptor)


def running(settings: Settings) -> Running | None:
    """The `up` that runs in this home, if any."""
    path = _note(settings)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _lock(descriptor, fcntl.LOCK_SH) else _read(path)
    finally:
        os.close(descriptor)


def _note(settings: Settings) -> Path:
    return settings.run_dir / "up.json"


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Running | None:
    try:
        return Running(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # being written at this moment
        return None
