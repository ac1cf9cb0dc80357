"""Waiting for what another thread, process or server does."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], what: str = "it never happened", seconds: float = 120) -> None:
    """Return once `condition` is true; fail with `what` when it does not come true in so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
