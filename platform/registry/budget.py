"""One bounded number of connections over all tenants of a server.

A place in the budget belongs to a key (a tenant's placement) from before its connection is opened until after it is
closed. At the budget the least recently used idle connection of another tenant makes room, but only after a short wait
for the tenant's own busy one: that wait is what keeps a working set larger than the budget fast (docs/performance.md).
Opening and closing happen outside the lock.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields
from typing import Generic

from ...config.errors import UnavailableError
from .places import C, Counters, Slot, Waiter

PATIENCE = 0.005  # seconds to wait for the tenant's own connection before another tenant's is closed
FAIRNESS = 0.1  # seconds after which the longest waiting tenant goes before the tenant whose connection returns
CONNECTS = 2  # connections that one process opens at the same time


class Budget(Generic[C]):
    """At most `size` connections in all and `per_key` for one key. Thread-safe."""

    def __init__(self, size: int, per_key: int) -> None:
        self._size = size
        self._per_key = per_key
        self._lock = threading.Lock()
        self._connecting = threading.BoundedSemaphore(CONNECTS)
        self._slots: dict[str, Slot[C]] = {}
        self._idle: OrderedDict[C, str] = OrderedDict()  # connection → key, least recently used first
        self._waiters: list[Waiter[C]] = []
        self._places = 0
        self._closed = False
        self._counters = Counters()

    def acquire(self, key: str, connect: Callable[[], C], timeout: float) -> C:
        """Return an idle connection of `key` or one made by `connect`, within `timeout` seconds.

        Raises `UnavailableError` when neither is to be had in time, and whatever `connect` raises.
        """
        with self._lock:
            slot = self._slots.get(key)
            if slot and slot.idle:
                self._counters.hits += 1
                return self._take(slot)
            self._counters.misses += 1
        deadline = time.monotonic() + timeout
        return self._place_or_connection(key, deadline) or self._connect(key, connect, deadline)

    def release(self, key: str, connection: C) -> None:
        """Take back a clean connection: to a waiter of the same tenant, else to the idle ones."""
        with self._lock:
            slot = self._slots[key]
            superfluous: C | None = None
            if self._closed or slot.retired:
                self._free_place(key)
                superfluous = connection
            elif self._waiters:
                superfluous = self._hand_on(key, slot, connection)
            else:
                self._put(key, slot, connection)
        if superfluous:
            superfluous.close()

    def discard(self, key: str, connection: C) -> None:
        """Take back a connection that must not be used again."""
        connection.close()
        with self._lock:
            self._counters.discarded += 1
            self._free_place(key)

    def retire(self, key: str) -> None:
        """Close the idle connections of `key`; the busy ones are closed when they return."""
        with self._lock:
            slot = self._slots.get(key)
            if not slot:
                return
            slot.retired = True
            victims = [self._take(slot) for _ in list(slot.idle)]
            for _ in victims:
                self._free_place(key)
        for victim in victims:
            victim.close()

    def close(self) -> None:
        """Close what is idle and refuse new use; busy connections are closed when they return."""
        with self._lock:
            self._closed = True
            keys = list(self._slots)
        for key in keys:
            self.retire(key)

    def counters(self) -> Counters:
        """Return a copy of the counters with the present state filled in."""
        with self._lock:
            now = Counters(*(getattr(self._counters, f.name) for f in fields(Counters)))
            now.open, now.busy, now.waiting = self._places, self._places - len(self._idle), len(self._waiters)
            return now

    # Below: how a place is found.

    def _place_or_connection(self, key: str, deadline: float) -> C | None:
        """Return a connection that came back meanwhile, or `None` once a place is reserved."""
        patient = True
        while True:
            waiter = self._reserve_or_wait(key, patient)
            if waiter is None:
                return None
            until = min(deadline, time.monotonic() + PATIENCE) if waiter.own_only else deadline
            if waiter.ready.is_set() or self._wait(waiter, until):
                return waiter.connection
            if time.monotonic() >= deadline:
                raise self._timed_out()
            patient = False

    def _reserve_or_wait(self, key: str, patient: bool) -> Waiter[C] | None:
        """Reserve a place (`None`), at another tenant's cost if need be, or join those who wait."""
        with self._lock:
            self._refuse_if_closed()
            slot = self._slots.setdefault(key, Slot[C]())
            if slot.idle:
                return self._served(key, slot)
            below_ceiling = slot.places < self._per_key
            if below_ceiling and self._places < self._size:
                self._reserve(slot)
                return None
            own_only = patient and below_ceiling and slot.busy > 0
            if own_only or not (below_ceiling and self._idle):
                waiter = Waiter[C](key, own_only)
                self._waiters.append(waiter)
                return waiter
            victim = self._evict(slot)
        victim.close()
        return None

    def _wait(self, waiter: Waiter[C], until: float) -> bool:
        """Wait until something is handed over; say whether it was."""
        try:
            waiter.ready.wait(max(0.0, until - time.monotonic()))
        except BaseException:  # the thread is being stopped: what arrived meanwhile must not be lost
            self._give_up(waiter)
            raise
        with self._lock:
            self._counters.waits += 1
            granted = waiter.ready.is_set()
            if not granted:
                self._withdraw(waiter)
            return granted

    def _give_up(self, waiter: Waiter[C]) -> None:
        with self._lock:
            if not waiter.ready.is_set():
                self._withdraw(waiter)
                return
            if not waiter.connection:
                self._free_place(waiter.key)
                return
        self.release(waiter.key, waiter.connection)

    def _connect(self, key: str, connect: Callable[[], C], deadline: float) -> C:
        """Open a connection in the place reserved for it; the place is freed when that fails."""
        connected = False
        try:
            if not self._connecting.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise self._timed_out()
            try:
                connection = connect()
            finally:
                self._connecting.release()
            connected = True
            return connection
        finally:
            if not connected:
                with self._lock:
                    self._free_place(key)

    # Below: what is done under the lock.

    def _take(self, slot: Slot[C]) -> C:
        connection = slot.idle.pop()
        del self._idle[connection]
        return connection

    def _put(self, key: str, slot: Slot[C], connection: C) -> None:
        slot.idle.append(connection)
        self._idle[connection] = key

    def _served(self, key: str, slot: Slot[C]) -> Waiter[C]:
        waiter = Waiter[C](key, own_only=True, connection=self._take(slot))
        waiter.ready.set()
        return waiter

    def _withdraw(self, waiter: Waiter[C]) -> None:
        self._waiters.remove(waiter)
        self._drop_if_empty(waiter.key)

    def _reserve(self, slot: Slot[C]) -> None:
        slot.places += 1
        slot.retired = False
        self._places += 1

    def _evict(self, slot: Slot[C]) -> C:
        """Move the place of the least recently used idle connection to `slot`; the caller closes the connection."""
        victim, key = self._idle.popitem(last=False)
        self._slots[key].idle.remove(victim)
        self._slots[key].places -= 1
        self._drop_if_empty(key)
        slot.places += 1
        self._counters.evictions += 1
        return victim

    def _hand_on(self, key: str, slot: Slot[C], connection: C) -> C | None:
        """Give `connection` to whom it helps most; return it when its place went to another tenant."""
        own = next((w for w in self._waiters if w.key == key), None)
        other = self._first_for_a_place()
        if own and not (other and other.since < min(own.since, time.monotonic() - FAIRNESS)):
            self._grant(own, connection)
            return None
        self._put(key, slot, connection)
        if not other:
            return None
        victim = self._evict(self._slots[other.key])
        self._grant(other, None)
        return victim

    def _free_place(self, key: str) -> None:
        self._slots[key].places -= 1
        self._places -= 1
        waiter = None if self._closed else self._first_for_a_place()
        if waiter:
            self._reserve(self._slots[waiter.key])
            self._grant(waiter, None)
        self._drop_if_empty(key)

    def _first_for_a_place(self) -> Waiter[C] | None:
        return next(
            (w for w in self._waiters if not w.own_only and self._slots[w.key].places < self._per_key),
            None,
        )

    def _grant(self, waiter: Waiter[C], connection: C | None) -> None:
        self._waiters.remove(waiter)
        waiter.connection = connection
        waiter.ready.set()

    def _drop_if_empty(self, key: str) -> None:
        slot = self._slots.get(key)
        if slot and not slot.places and not any(w.key == key for w in self._waiters):
            del self._slots[key]

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise UnavailableError("This process is shutting down; try again in a moment.", retry_after=1)

    def _timed_out(self) -> UnavailableError:
        self._counters.timeouts += 1
        return UnavailableError("Too many people are using this right now; try again in a moment.", retry_after=2)
