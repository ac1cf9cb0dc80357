"""When a message is tried again. Pure."""

from datetime import timedelta
from typing import Final

_MINUTES: Final = (1, 2, 5, 10, 20, 30, *[60] * 23)
WAITS: Final = tuple(timedelta(minutes=minutes) for minutes in _MINUTES)  # a day and a few minutes, all together


def wait_after(attempts: int) -> timedelta | None:
    """How long a message waits after so many tries (1 or more) that failed; None: it is given up."""
    return WAITS[attempts - 1] if attempts <= len(WAITS) else None
