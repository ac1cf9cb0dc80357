"""Locks that the kernel releases when their holder dies, however it dies (flock(2))."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ...config.errors import FailedError


class FileLock:
    """A lock on a file of its own, shared or exclusive; closing it releases it."""

    def __init__(self, path: Path) -> None:
        """Open, and make if needed, the file. Raises `FailedError`."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise FailedError(f"{path} cannot be opened: {error.strerror}.") from error

    def share(self) -> None:
        """Wait until nobody holds it exclusively, then hold it together with others."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def take(self) -> None:
        """Wait until nobody else holds it, then hold it alone."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def try_take(self) -> bool:
        """Hold it alone if nobody else holds it; say whether that worked. A share of our own is given up for it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Release it."""
        os.close(self._descriptor)


@contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Hold the lock on `path` alone inside the block."""
    lock = FileLock(path)
    try:
        lock.take()
        yield
    finally:
        lock.close()


def is_held(path: Path) -> bool:
    """Say whether somebody holds the lock on `path`, alone or with others."""
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        return not lock.try_take()
    finally:
        lock.close()
