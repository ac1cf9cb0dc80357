"""What the budget keeps about connections, about those who wait for one, and about what happened."""

import threading
import time
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What the budget knows about a connection."""

    def close(self) -> None:
        """End it; never raises."""
        ...


C = TypeVar("C", bound=Closable)


@dataclass(slots=True)
class Counters:
    """What happened since the start; `open`, `busy` and `waiting` are the state now."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    waits: int = 0
    timeouts: int = 0
    discarded: int = 0
    open: int = 0
    busy: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What a process could use: connections it has, threads that wait for a place, what it closed for want of room."""

    places: int
    waiting: int
    evictions: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of the budget a tenant uses: times since the start, connections now."""

    tenant: str
    uses: int
    open: int


@dataclass(slots=True)
class Slot(Generic[C]):
    """The connections of one key: those that nobody uses, and how many places of the budget it holds in all."""

    idle: list[C] = field(default_factory=list[C])  # the one used last is taken first
    places: int = 0
    uses: int = 0
    retired: bool = False

    @property
    def busy(self) -> int:
        """How many are lent out, being opened or being closed."""
        return self.places - len(self.idle)


@dataclass(slots=True, eq=False)
class Waiter(Generic[C]):
    """One thread that waits for a connection or for a place."""

    key: str
    own_only: bool  # waits for a connection of its own tenant, not for a place
    patience: float | None = None  # seconds until it looks for another way; None: until its deadline
    since: float = field(default_factory=time.monotonic)
    ready: threading.Event = field(default_factory=threading.Event)
    connection: C | None = None  # none when ready: a place was given instead


def owner_of(key: str) -> str:
    """Return whose connections a key stands for: what is before the first slash."""
    return key.partition("/")[0]
