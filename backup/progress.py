"""How long work says where it is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_PAUSE = 2.0  # seconds between two events that only tell of more bytes


@dataclass(frozen=True, slots=True)
class Event:
    """Step `number` of `total` of the work on `subject` (a slug, or “control”) has begun; the last one: is done.

    `moved`: bytes that have gone through since the step began, in `seconds`; `size`: how many there are, if known.
    `left`: seconds that the whole work will still take, where something better is known than those bytes.
    """

    subject: str
    step: str
    number: int
    total: int
    moved: int | None = None
    size: int | None = None
    seconds: float = 0.0
    left: float | None = None

    @property
    def rate(self) -> float | None:
        """Bytes per second."""
        return self.moved / self.seconds if self.moved and self.seconds > 0 else None

    @property
    def remaining(self) -> float | None:
        """Seconds that are left at this rate, where the size is known."""
        if self.left is not None:
            return self.left
        rate = self.rate
        return max(0.0, (self.size - (self.moved or 0)) / rate) if rate and self.size else None

    def __str__(self) -> str:
        """The event for people: `acme: loading the dump (3 of 8, 12.0 MB of 50.0 MB, 8.1 MB/s, 5 s left)`."""
        parts = [f"{self.number} of {self.total}"]
        if self.moved is not None and (rate := self.rate):
            of = f" of {_size(self.size)}" if self.size else ""
            parts.append(f"{_size(self.moved)}{of}, {_size(rate)}/s")
        if (left := self.remaining) is not None:
            parts.append(f"{left:.0f} s left")
        return f"{self.subject}: {self.step} ({', '.join(parts)})"


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


Progress = Callable[[Event], None]
Watch = Callable[[int], None]  # is told of each piece of bytes, by its length
Steps = Callable[[str, int | None], Watch]  # begins a step of so many bytes (None: unknown); returns who counts them


def in_steps(steps: Sequence[tuple[str, Callable[[T], None]]], work: T, subject: str, progress: Progress) -> None:
    """Do `steps` of `work` one after the other, each announced by its title."""
    for number, (title, step) in enumerate(steps, 1):
        progress(Event(subject, title, number, len(steps)))
        step(work)


def silent(event: Event) -> None:
    """Say nothing."""


def unwatched(length: int) -> None:
    """Count nothing."""


def unseen(step: str, size: int | None) -> Watch:
    """Begin a step that nobody looks at."""
    del step, size
    return unwatched


def watching(progress: Progress, begun: Event, clock: Callable[[], float] = time.monotonic) -> Watch:
    """Return a counter of bytes that repeats the event `begun` with how many have moved, once in two seconds."""
    began = said = clock()
    moved = 0

    def watch(length: int) -> None:
        nonlocal moved, said
        moved, now = moved + length, clock()
        if now - said >= _PAUSE:
            said = now
            step, size = begun.step, begun.size
            progress(Event(begun.subject, step, begun.number, begun.total, moved, size, now - began))

    return watch
