"""When a message is tried again. Pure."""

from datetime import datetime, timedelta
from typing import Final

# The specification's example; with its last try a message is 27 h 35 min old.
WAITS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
TRIES: Final = len(WAITS) + 1
JITTER: Final = 0.2  # of the wait at most, so that a receiver that comes back is not met by all at once
GIVE_UP: Final = timedelta(days=5)  # of failures only: then the endpoint is paused


def next_try(attempts: int, now: datetime, chance: float) -> datetime | None:
    """When to try again after `attempts` tries that failed; None: never. `chance` is between 0 and 1."""
    if attempts >= TRIES:
        return None
    return now + WAITS[attempts - 1] * (1 + JITTER * chance)


def is_hopeless(failing_since: datetime, now: datetime) -> bool:
    """Whether an endpoint that has failed since then is to be left alone."""
    return now - failing_since >= GIVE_UP
