"""Who holds which place of a budget, who waits for one, and who is next: the budget's state and rules.

Nothing in here blocks, opens or closes anything, and nothing is safe for threads: the budget calls it under its lock.
"""

import heapq
import math
import time
from collections import Counter
from dataclasses import fields
from typing import Generic

from .places import C, Counters, Demand, Slot, Usage, Waiter, owner_of
from .ranking import Ranking

FAIRNESS = 0.02  # seconds after which a tenant without a connection goes before the one whose connection returns
IDLE_SECONDS = 5.0  # without any use, after which a process needs none of its idle connections

Doomed = tuple[C, str]  # a connection that is to be closed, and whose place it still holds


class Ledger(Generic[C]):
    """At most `size` places in all and `per_key` for one key."""

    def __init__(self, size: int, per_key: int) -> None:
        self.per_key = per_key
        self.places = 0
        self.waiters: list[Waiter[C]] = []
        self.counters = Counters()
        self.closed = False
        self._slots: dict[str, Slot[C]] = {}
        self._idle = Ranking[C]()
        self._closing = 0  # places whose connection is on its way out
        self._past_uses = Counter[str]()  # by tenant, of slots that are gone
        self._evictions_told = self._uses_told = 0
        self._used_at = time.monotonic()
        self.fit(size, math.inf)

    def fit(self, size: int, until: float) -> list[Doomed[C]]:
        """Have `size` places, the free ones until then (`time.monotonic`); return the connections that must go."""
        self.size, self._until = size, until
        self._idle.fit(size)
        doomed: list[Doomed[C]] = []
        while self.excess() > 0 and (victim := self.first_to_go()):
            doomed.append(self.doom(*victim))
        self.fill_places()
        return doomed

    # Slots.

    def slot(self, key: str) -> Slot[C] | None:
        """Return what a key holds."""
        return self._slots.get(key)

    def opened_slot(self, key: str) -> Slot[C]:
        """Return what a key holds, be it nothing yet."""
        return self._slots.setdefault(key, Slot[C]())

    def all_keys(self) -> list[str]:
        """Return all keys that hold or wait for something."""
        return list(self._slots)

    def take(self, slot: Slot[C]) -> C:
        """Lend an idle connection: the one used last."""
        connection = slot.idle.pop()
        slot.uses += 1
        self._idle.use(connection)
        return connection

    def put(self, key: str, slot: Slot[C], connection: C) -> None:
        """Keep a connection that came back."""
        slot.idle.append(connection)
        self._idle.add(connection, key, is_duplicate=slot.places > 1)

    def retire(self, key: str) -> list[Doomed[C]]:
        """Let nothing of a key be lent again; return its idle connections, which must go."""
        slot = self._slots.get(key)
        if not slot:
            return []
        slot.retired = True
        doomed = [self.doom(connection, key) for connection in slot.idle]
        slot.idle.clear()
        return doomed

    # Places.

    def has_room(self) -> bool:
        """Say whether a place is free."""
        return self.places < self.size and time.monotonic() < self._until

    def excess(self) -> int:
        """Return how many connections there are too many, beside those already on their way out."""
        return self.places - self._closing - self.size

    def reserve(self, slot: Slot[C]) -> None:
        """Take a free place."""
        slot.places += 1
        slot.uses += 1
        self.places += 1

    def first_to_go(self) -> Doomed[C] | None:
        """Remove the idle connection that is worth least; its key keeps the place."""
        victim = self._idle.first_to_go(lambda key: self._slots[key].places > 1)
        if victim:
            self._slots[victim[1]].idle.remove(victim[0])
        return victim

    def move_place(self, victim: Doomed[C], slot: Slot[C]) -> None:
        """Give the victim's place to another key."""
        key = victim[1]
        self._slots[key].places -= 1
        self._drop_if_empty(key)
        slot.places += 1
        slot.uses += 1
        self.counters.evictions += 1

    def doom(self, connection: C, key: str) -> Doomed[C]:
        """Note that a connection, which is no longer among its key's idle ones, is going to be closed."""
        self._idle.forget(connection)
        self._closing += 1
        return connection, key

    def gone(self, doomed: list[Doomed[C]]) -> None:
        """Free the places of connections that are closed by now."""
        self._closing -= len(doomed)
        for _, key in doomed:
            self.free_place(key)

    def free_place(self, key: str) -> None:
        """Take a place from a key; whoever is next gets it."""
        self._slots[key].places -= 1
        self.places -= 1
        self.fill_places()
        self._drop_if_empty(key)

    # Those who wait.

    def withdraw(self, waiter: Waiter[C]) -> None:
        """Let somebody wait no longer."""
        self.waiters.remove(waiter)
        self._drop_if_empty(waiter.key)

    def hand_on(self, key: str, slot: Slot[C], connection: C) -> Doomed[C] | None:
        """Give `connection` to whom it helps most; return the one to close when its place helps more."""
        own = next((w for w in self.waiters if w.key == key), None)
        other = self._next_for_a_place()
        if own and not (other and self._goes_before(other, own)):
            slot.uses += 1
            self._grant(own, connection)
            return None
        self.put(key, slot, connection)
        victim = self.first_to_go() if other else None
        if own and slot.idle:  # what goes is another one
            self._grant(own, self.take(slot))
        if not victim:
            return None
        self.counters.evictions += 1
        return self.doom(*victim)

    def fill_places(self) -> None:
        """Give what is free to those who wait."""
        while not self.closed and self.has_room() and (waiter := self._next_for_a_place()):
            self.reserve(self._slots[waiter.key])
            self._grant(waiter, None)

    def _next_for_a_place(self) -> Waiter[C] | None:
        """Return who is next: tenants without any connection go before those that have some."""
        waiting = [w for w in self.waiters if not w.own_only and self._slots[w.key].places < self.per_key]
        return next((w for w in waiting if not self._slots[w.key].places), waiting[0] if waiting else None)

    def _goes_before(self, other: Waiter[C], own: Waiter[C]) -> bool:
        if other.key == own.key or time.monotonic() - other.since < FAIRNESS:
            return False
        return not self._slots[other.key].places or other.since < own.since

    def _grant(self, waiter: Waiter[C], connection: C | None) -> None:
        self.waiters.remove(waiter)
        waiter.connection = connection
        waiter.ready.set()

    def _drop_if_empty(self, key: str) -> None:
        slot = self._slots.get(key)
        if slot and not slot.places and not any(w.key == key for w in self.waiters):
            self._past_uses[owner_of(key)] += slot.uses
            del self._slots[key]

    # What is told about it.

    def counted(self) -> Counters:
        """Return a copy of the counters with the present state filled in."""
        now = Counters(*(getattr(self.counters, f.name) for f in fields(Counters)))
        now.open, now.busy, now.waiting = self.places, self.places - len(self._idle), len(self.waiters)
        return now

    def demand(self) -> Demand:
        """Return what could be used; evictions are those since the last call.

        What a process that has nothing to do keeps open counts no longer as needed.
        """
        evictions = self.counters.evictions - self._evictions_told
        self._evictions_told = self.counters.evictions
        uses, now = self.counters.hits + self.counters.misses, time.monotonic()
        if uses != self._uses_told:
            self._uses_told, self._used_at = uses, now
        places = self.places if now - self._used_at < IDLE_SECONDS else self.places - len(self._idle)
        return Demand(places, sum(not waiter.own_only for waiter in self.waiters), evictions)

    def busiest(self, most: int) -> list[Usage]:
        """Return the tenants with the most uses, the busiest first."""
        uses, places = Counter(self._past_uses), Counter[str]()
        for key, slot in self._slots.items():
            uses[owner_of(key)] += slot.uses
            places[owner_of(key)] += slot.places
        top = heapq.nlargest(most, uses.items(), key=lambda item: (item[1], item[0]))
        return [Usage(tenant, count, places[tenant]) for tenant, count in top]
