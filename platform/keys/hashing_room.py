"""Where passwords are hashed: so many at once, so many more on the bench before it, and the rest is sent away at once.

Hashing is slow on purpose, and each request that waits for it holds one of the web process's threads. Without a bench
of limited length a flood of sign-ins would hold them all, and no page would be answered.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from ...config.errors import UnavailableError

_SENTENCE = "Too many people are signing in right now; please try again."
_RETRY_AFTER = 2  # seconds


class HashingRoom:
    """A semaphore of which it is known how many wait for it."""

    def __init__(self, slots: int) -> None:
        """`slots`: how many hash at once. How many may be there in all, `admit` says."""
        self._slots = threading.BoundedSemaphore(slots)
        self._lock = threading.Lock()
        self._inside = 0
        self._most: int | None = None

    def admit(self, threads: int) -> None:
        """Let at most so many be there, hashing or waiting, that a quarter of `threads`, at least one, stays free."""
        self._most = max(1, threads - max(1, threads // 4))

    @property
    def inside(self) -> int:
        """How many hash or wait just now."""
        return self._inside

    @contextmanager
    def entered(self, seconds: float) -> Generator[None]:
        """Hash within this context. Raises `UnavailableError` where the bench is full, or no slot free in time."""
        self._come_in()
        try:
            if not self._slots.acquire(timeout=seconds):
                raise UnavailableError(_SENTENCE, _RETRY_AFTER)
            try:
                yield
            finally:
                self._slots.release()
        finally:
            with self._lock:
                self._inside -= 1

    def _come_in(self) -> None:
        with self._lock:
            if self._most is not None and self._inside >= self._most:
                raise UnavailableError(_SENTENCE, _RETRY_AFTER)
            self._inside += 1
