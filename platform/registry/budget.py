"""One bounded number of connections over all tenants of a server.

A place in the budget belongs to a key (a tenant's placement) from before its connection is opened until after it is
closed. At the budget the connection that is worth least makes room (`ranking`), but only after a short wait for the
tenant's own busy one: that wait is what keeps a working set larger than the budget fast (docs/performance.md).
Opening and closing happen outside the lock. How many places there are changes while it works: see `leases`.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Generic

from ...config.errors import UnavailableError
from .ledger import Doomed, Ledger
from .places import C, Counters, Demand, Slot, Usage, Waiter

PATIENCE = 0.005  # seconds to wait for the tenant's own connection before another tenant's is closed
GROWTH = 0.05  # seconds to wait for more places where there may be some, before a connection is closed
CONNECTS = 2  # connections that one process opens at the same time


def close_each(connections: list[C]) -> None:
    """Close one after the other."""
    for connection in connections:
        connection.close()


class Budget(Generic[C]):
    """At most `size` connections in all and `per_key` for one key. Thread-safe."""

    def __init__(
        self,
        size: int,
        per_key: int,
        *,
        most: int | None = None,
        wake: Callable[[], None] = lambda: None,
        gate: Callable[[], None] = lambda: None,
        close: Callable[[list[C]], None] = close_each,
    ) -> None:
        """`most` is what `size` may ever grow to.

        `wake` is called when more places are needed, or when one is free that was to be given up; `gate` before anybody
        waits: it raises when there is no sense in that; `close` returns when the connections are really gone.
        """
        self._most = size if most is None else most
        self._may_grow = self._most > size
        self._wake, self._gate, self._close = wake, gate, close
        self._ledger = Ledger[C](size, per_key)
        self._lock = threading.Lock()
        self._connecting = threading.BoundedSemaphore(CONNECTS)

    def acquire(self, key: str, connect: Callable[[], C], timeout: float) -> C:
        """Return an idle connection of `key` or one made by `connect`, within `timeout` seconds.

        Raises `UnavailableError` when neither is to be had in time, and whatever `connect` raises.
        """
        ledger = self._ledger
        with self._lock:
            slot = ledger.slot(key)
            if slot and slot.idle:
                ledger.counters.hits += 1
                return ledger.take(slot)
            ledger.counters.misses += 1
        self._gate()
        deadline = time.monotonic() + timeout
        return self._place_or_connection(key, deadline) or self._connect(key, connect, deadline)

    def release(self, key: str, connection: C) -> None:
        """Take back a clean connection: to a waiter of the same tenant, else to the idle ones."""
        ledger = self._ledger
        with self._lock:
            slot = ledger.slot(key)
            assert slot, "a connection that is lent holds a place"
            if ledger.closed or slot.retired or ledger.excess() > 0:
                doomed = ledger.doom(connection, key)
            elif ledger.waiters:
                doomed = ledger.hand_on(key, slot, connection)
            else:
                ledger.put(key, slot, connection)
                return
        if doomed:
            self._finish([doomed])

    def discard(self, key: str, connection: C) -> None:
        """Take back a connection that must not be used again."""
        with self._lock:
            self._ledger.counters.discarded += 1
            doomed = self._ledger.doom(connection, key)
        self._finish([doomed])

    def retire(self, *keys: str) -> None:
        """Close the idle connections of these keys; the busy ones are closed when they return."""
        with self._lock:
            doomed = [each for key in keys for each in self._ledger.retire(key)]
        self._finish(doomed)

    def resize(self, size: int, until: float = math.inf, *, may_grow: bool = False) -> None:
        """Have `size` places from now on; idle connections beyond are closed now, busy ones when they return.

        After `until` (`time.monotonic`) nothing is opened in a place that is free. `may_grow` says that more places
        may be had for the asking, so that a short wait for them makes sense.
        """
        with self._lock:
            self._may_grow = may_grow and size < self._most
            doomed = self._ledger.fit(size, until)
        self._finish(doomed)

    def close(self) -> None:
        """Close what is idle and refuse new use; busy connections are closed when they return."""
        with self._lock:
            self._ledger.closed = True
            doomed = [each for key in self._ledger.all_keys() for each in self._ledger.retire(key)]
        self._finish(doomed)

    @property
    def size(self) -> int:
        """How many places there are now."""
        return self._ledger.size

    @property
    def most(self) -> int:
        """What `size` may ever grow to."""
        return self._most

    def places(self) -> int:
        """Return how many places are taken: by what is open, being opened or not yet closed."""
        return self._ledger.places

    def counters(self) -> Counters:
        """Return a copy of the counters with the present state filled in."""
        with self._lock:
            return self._ledger.counted()

    def demand(self) -> Demand:
        """Return what could be used; evictions are those since the last call."""
        with self._lock:
            return self._ledger.demand()

    def busiest(self, most: int) -> list[Usage]:
        """Return the tenants with the most uses since the start, the busiest first."""
        with self._lock:
            return self._ledger.busiest(most)

    # Below: how a place is found.

    def _place_or_connection(self, key: str, deadline: float) -> C | None:
        """Return a connection that came back meanwhile, or `None` once a place is reserved."""
        patient = True
        while True:
            waiter = self._reserve_or_wait(key, patient)
            if waiter is None:
                return None
            if waiter.ready.is_set() or self._wait(waiter, deadline):
                return waiter.connection
            if time.monotonic() >= deadline:
                raise self._timed_out()
            patient = False

    def _reserve_or_wait(self, key: str, patient: bool) -> Waiter[C] | None:
        """Reserve a place (`None`), at another tenant's cost if need be, or join those who wait."""
        ledger = self._ledger
        with self._lock:
            self._refuse_if_closed()
            slot = ledger.opened_slot(key)
            if slot.idle:
                return self._served(key, slot)
            below_ceiling = slot.places < ledger.per_key
            if below_ceiling and ledger.has_room():
                ledger.reserve(slot)
                return None
            patience = self._patience(slot) if patient and below_ceiling else None
            victim = ledger.first_to_go() if below_ceiling and patience is None else None
            waiter = None
            if victim:
                ledger.move_place(victim, slot)
            else:
                waiter = Waiter[C](key, own_only=patience == PATIENCE, patience=patience)
                ledger.waiters.append(waiter)
        if victim:
            self._close_first(victim[0], key)
        elif ledger.size < self._most:
            self._wake()
        return waiter

    def _patience(self, slot: Slot[C]) -> float | None:
        """Return how long to wait before another tenant's connection is closed."""
        if self._may_grow:
            return GROWTH
        return PATIENCE if slot.busy > 0 else None

    def _served(self, key: str, slot: Slot[C]) -> Waiter[C]:
        waiter = Waiter[C](key, own_only=True, connection=self._ledger.take(slot))
        waiter.ready.set()
        return waiter

    def _wait(self, waiter: Waiter[C], deadline: float) -> bool:
        """Wait until something is handed over; say whether it was."""
        patience = deadline if waiter.patience is None else time.monotonic() + waiter.patience
        try:
            waiter.ready.wait(max(0.0, min(deadline, patience) - time.monotonic()))
        except BaseException:  # the thread is being stopped: what arrived meanwhile must not be lost
            self._give_up(waiter)
            raise
        with self._lock:
            self._ledger.counters.waits += 1
            granted = waiter.ready.is_set()
            if not granted:
                self._ledger.withdraw(waiter)
            return granted

    def _give_up(self, waiter: Waiter[C]) -> None:
        with self._lock:
            if not waiter.ready.is_set():
                self._ledger.withdraw(waiter)
                return
            if not waiter.connection:
                self._ledger.free_place(waiter.key)
                return
        self.release(waiter.key, waiter.connection)

    def _close_first(self, victim: C, key: str) -> None:
        """Close the connection whose place is `key`'s now."""
        closed = False
        try:
            self._close([victim])
            closed = True
        finally:
            if not closed:
                self._free(key)

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
                self._free(key)

    def _free(self, key: str) -> None:
        with self._lock:
            self._ledger.free_place(key)

    def _finish(self, doomed: list[Doomed[C]]) -> None:
        """Close connections, then give their places to others; tell when places are to be given up altogether."""
        if not doomed:
            return
        try:
            self._close([connection for connection, _ in doomed])
        finally:
            with self._lock:
                giving_up = self._ledger.places > self._ledger.size
                self._ledger.gone(doomed)
            if giving_up:
                self._wake()

    def _refuse_if_closed(self) -> None:
        if self._ledger.closed:
            raise UnavailableError("This process is shutting down; try again in a moment.", retry_after=1)

    def _timed_out(self) -> UnavailableError:
        self._ledger.counters.timeouts += 1
        return UnavailableError("Too many people are using this right now; try again in a moment.", retry_after=2)
