"""What the processes say of themselves in the control database, once a second."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

BUSIEST = 20
BREAKER_STATES = ("closed", "half-open", "open")


@dataclass(frozen=True, slots=True)
class Lease:
    """One living process's share of the connections of one server, and what it counted there since it started.

    `counters` is what the registry wrote; a process of another release may leave keys out, which then count as 0.
    """

    process: str
    kind: str
    server: str
    connections: int
    wanted: int
    counters: dict[str, Any] = field(default_factory=dict[str, Any])

    def count(self, name: str) -> int:
        """A counter by its name."""
        value = self.counters.get(name)
        return value if isinstance(value, int) else 0

    @property
    def breaker(self) -> str:
        """Whether the process tries this server: closed (yes), half-open (carefully) or open (no)."""
        state = self.counters.get("breaker")
        return state if state in BREAKER_STATES else "closed"


@dataclass(frozen=True, slots=True)
class TenantUse:
    """How much a tenant was used, by all processes together: how often, and connections open now."""

    tenant: str
    server: str
    uses: int
    open: int


@dataclass(frozen=True, slots=True)
class ServerPlaces:
    """What one server holds: databases and finished ones that nobody has yet. `limit`: connections, None if unknown."""

    name: str
    limit: int | None
    databases: int
    spares: int


@dataclass(frozen=True, slots=True)
class StoreCopies:
    """What a backup store holds and still waits for. `waiting_since`: start of the oldest backup that it lacks."""

    store: str
    held: int
    waiting: int
    waiting_since: datetime | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Verification:
    """The newest verification of isolation."""

    at: datetime
    passed: bool


def hit_rate(leases: Iterable[Lease]) -> float | None:
    """The part of requests that found an open connection, 0 to 1; None before the first one."""
    every = list(leases)
    hits = sum(lease.count("hits") for lease in every)
    asked = hits + sum(lease.count("misses") for lease in every)
    return hits / asked if asked else None


def busiest(leases: Iterable[Lease], limit: int = BUSIEST) -> list[TenantUse]:
    """The tenants that were used most, at most `limit`; the processes' own short lists are added up."""
    uses: Counter[tuple[str, str]] = Counter()
    opened: Counter[tuple[str, str]] = Counter()
    for lease in leases:
        for entry in _entries(lease):
            key = str(entry["tenant"]), lease.server
            uses[key] += _whole(entry.get("uses"))
            opened[key] += _whole(entry.get("open"))
    return [TenantUse(*key, count, opened[key]) for key, count in uses.most_common(limit)]


def _entries(lease: Lease) -> list[dict[str, Any]]:
    found: Any = lease.counters.get("busiest")
    entries = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", entry) for entry in entries if isinstance(entry, dict) and "tenant" in entry]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
