"""How often one token may call. Counted in this process's memory, so that no call pays for being counted.

Each of the web processes of a machine allows its share of the limit. The kernel spreads connections over them, so one
connection reaches one share, and many reach the whole. What counts wrong tokens (`gate.py`) is shared by all.
"""

import math
import time
from typing import Final, cast

from flask import Flask, current_app
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

PER_MINUTE: Final = 600  # calls of one token, on one machine
EXTENSION: Final = "strongroom_throttle"


class Throttle:
    """The counters of one process."""

    def __init__(self, processes: int) -> None:
        """`processes` share the limit."""
        self._item = RateLimitItemPerMinute(max(1, PER_MINUTE // processes))
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def hit(self, key: str) -> None:
        """Count one call. Raises `TooManyRequests` with the seconds to wait."""
        if not self._limiter.hit(self._item, key):
            wait = self._limiter.get_window_stats(self._item, key).reset_time - time.time()
            raise TooManyRequests(
                "This token has made too many calls this minute.", retry_after=max(1, math.ceil(wait))
            )


def hit(key: str) -> None:
    """Count one call of the token `key` in this application. Raises `TooManyRequests`."""
    cast(Throttle, current_app.extensions[EXTENSION]).hit(key)


def install(app: Flask, processes: int) -> None:
    """Give `app` its counters, one of so many `processes`."""
    app.extensions[EXTENSION] = Throttle(processes)
