"""A server that does not answer costs its tenants a fast refusal instead of a wait: a circuit breaker per server."""

import threading
import time

from ...config.errors import UnavailableError

FAILURES = 3  # in a row, until the breaker opens
OPEN_SECONDS = 1.0


class ServerUnreachableError(UnavailableError):
    """Raised when a server does not answer at all; its tenants are out of reach, nobody else's."""

    def __init__(self) -> None:
        super().__init__("The database of this workspace cannot be reached right now.", retry_after=1)


class Breaker:
    """Closed while the server answers; open for a second after failures in a row; then one try at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0

    @property
    def state(self) -> str:
        """closed, open or half-open."""
        if self._failures < FAILURES:
            return "closed"
        return "open" if time.monotonic() < self._until else "half-open"

    def check(self) -> None:
        """Raise `ServerUnreachableError` while there is no sense in waiting for a connection."""
        if self._failures >= FAILURES and time.monotonic() < self._until:
            raise ServerUnreachableError

    def admit(self) -> None:
        """Raise `ServerUnreachableError` unless the caller may try to connect; it reports how that went.

        A try that is never reported costs a second.
        """
        if self._failures < FAILURES:
            return
        with self._lock:
            self.check()
            self._until = time.monotonic() + OPEN_SECONDS  # for all others

    def answered(self) -> None:
        """Note that the server answered, be it with a refusal."""
        self._failures = 0

    def failed(self) -> None:
        """Note that it did not answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES:
                self._until = time.monotonic() + OPEN_SECONDS
