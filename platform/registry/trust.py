"""How long what was read from the control database may be believed.

While the keeper is in touch, it hears of each change, and each of its rounds looks for those it has not heard of. So a
record may be believed for long; without touch it counts `seconds`, like in a process that has just started.
"""

import math
import time

LOOKBACK = 90.0  # seconds of changes that every round looks at
_ABSENCE = 60.0  # how old a record may be when touch is found again, so that LOOKBACK covers what happened since


class Trust:
    """Whether a record still counts. Times are those of `time.monotonic`; written by one thread, read by many."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # Replaced as one: in touch since when, start of the last good round, until when that round is worth something.
        self._state = (0.0, 0.0, 0.0)

    def confirm(self, began: float) -> None:
        """Note that a round that began then has found, and applied, every change committed before."""
        since, _, until = self._state
        self._state = since if began < until else began, began, began + self.seconds

    def holds(self, read: float, kept: float, longest: float = math.inf) -> bool:
        """Say whether every change committed `seconds` ago would have removed a record; `longest` is the most it lives.

        `read` is when reading it began, `kept` when it came to where a round finds and removes it.
        """
        age = time.monotonic() - read
        if age < self.seconds:
            return True
        since, last, until = self._state
        return age < longest and read + age < until and kept <= last and read > since - _ABSENCE
