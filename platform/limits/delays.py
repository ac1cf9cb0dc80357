"""Waits that grow: after each five tries in a row that led nowhere, twice as long.

A try is counted before it is looked at and success forgets all, so of many at once as many get through as one after the
other. One that could not be looked at is given back, and the wait that it began ends. At the hundredth the account's
password rests for a day (NIST SP 800-63B-4, 3.2.2: no more than 100 failures in a row); its owner gets in by a link in
a mail.
"""

import threading
import time
from typing import Protocol

TRIES = 5  # before the first wait, and between any two
FIRST, LONGEST = 30, 15 * 60  # seconds
MOST_TRIES, REST = 100, 24 * 3600  # in a row, and the wait after them
FORGOTTEN_AFTER = 24 * 3600  # seconds without a try, beyond the wait


def wait_after(count: int) -> int:
    """Seconds that follow the try of this number, the first being 1."""
    if count >= MOST_TRIES:
        return REST
    return min(LONGEST, FIRST * 2 ** (count // TRIES - 1)) if count % TRIES == 0 else 0


WAITS = tuple(wait_after(count) for count in range(1, MOST_TRIES + 1))


class Delays(Protocol):
    """Where tries in a row are counted."""

    def hit(self, key: str) -> float:
        """Count a try; return 0 where it may be made, else the seconds to wait: then it is not counted."""
        ...

    def give_back(self, key: str) -> None:
        """Take one counted try back, and let the next one be made at once; nothing where none is counted."""
        ...

    def forget(self, key: str) -> None:
        """Success: the next try is the first one."""
        ...


class MemoryDelays:
    """Counts in this process."""

    def __init__(self) -> None:
        self._counted: dict[str, tuple[int, float]] = {}  # tries, and when the next one may be made
        self._lock = threading.Lock()

    def hit(self, key: str) -> float:
        """As `Delays.hit`."""
        now = time.monotonic()
        with self._lock:
            self._sweep(now)
            count, free_at = self._counted.get(key, (0, now))
            if free_at > now:
                return free_at - now
            self._counted[key] = count + 1, now + wait_after(count + 1)
            return 0

    def give_back(self, key: str) -> None:
        """As `Delays.give_back`."""
        with self._lock:
            if key in self._counted:
                self._counted[key] = max(0, self._counted[key][0] - 1), time.monotonic()

    def forget(self, key: str) -> None:
        """As `Delays.forget`."""
        with self._lock:
            self._counted.pop(key, None)

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._counted.clear()

    def _sweep(self, now: float) -> None:
        if len(self._counted) > 10_000:  # only while the shared storage is down
            self._counted = {key: one for key, one in self._counted.items() if one[1] + LONGEST > now}
