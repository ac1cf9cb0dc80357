"""How the connections of one server are divided among the processes that use it: pure decisions.

Every process has a lease per server: how many connections it may hold. Shares are max-min fair over what the processes
could use (Bertsekas & Gallager, Data Networks, 1992, §6.5.2): nobody gets more while somebody who wants more has less.
A process gives up first, really, and only then another one grows into what is free: the sum never exceeds the limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .places import Demand

FLOOR = 2  # connections that every process may have, whoever else wants how many
HEADROOM = 8  # at most so many are kept back, so that a process that starts has its floor at once
LEASE_SECONDS = 10.0
PROVISIONAL_LIMIT = 8  # until the server was asked how many it takes
RESERVE = 20  # of the server's connections are the platform's own: provisioning, backup, migration, control plane
_SLACK = 4  # at most so many places beyond those needed, so that the next one need not be asked for


@dataclass(frozen=True, slots=True)
class Claim:
    """What one process may hold on a server (or still holds, where that is more), and what it could use."""

    process: str
    connections: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Grant:
    """How many connections a process may have from now on."""

    size: int
    may_grow: bool  # it got what it wanted, and there is more
    is_starved: bool  # its share is larger: others have to give up some


def wanted(demand: Demand, most: int) -> int:
    """Return how many connections a process could use."""
    needed = demand.places + demand.waiting + demand.evictions
    return min(most, max(FLOOR, needed + min(needed, _SLACK)))


def limit_of(max_connections: int, reserved: int) -> int:
    """Return how many connections of a server are the tenants', of `max_connections` with some `reserved` by it."""
    return max(1, max_connections - reserved - min(RESERVE, max_connections // 2))


def grant(limit: int, mine: Claim, others: Sequence[Claim]) -> Grant:
    """Decide how many of a server's `limit` connections a process may have, given the claims that hold now."""
    kept_back = headroom(limit)
    divided = shares(limit - kept_back, {claim.process: claim.wanted for claim in (*others, mine)})
    share = max(divided[mine.process], min(FLOOR, mine.wanted))
    free = limit - sum(claim.connections for claim in others)  # what the others do not hold, mine included
    unclaimed = limit - kept_back - sum(max(claim.connections, divided[claim.process]) for claim in others)
    keeps = max(share, min(mine.connections, unclaimed))  # what nobody else needs need not be given up
    size = min(keeps, max(mine.connections, free - kept_back, min(FLOOR, free)), max(0, free))
    return Grant(
        size=size,
        may_grow=size >= mine.wanted and free - kept_back > size,
        is_starved=size < share,
    )


def headroom(limit: int) -> int:
    """Return how many connections are kept back for processes that start."""
    return min(HEADROOM, limit // 4)


def shares(places: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Divide `places` max-min fairly; what does not divide goes to the first by name."""
    given: dict[str, int] = {}
    left = places
    for count, (name, want) in enumerate(sorted(wanted.items(), key=lambda item: (item[1], item[0]))):
        remaining = len(wanted) - count
        fair, odd = divmod(left, remaining)
        given[name] = max(0, min(want, fair + (1 if odd else 0)))
        left -= given[name]
    return given
