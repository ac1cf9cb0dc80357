"""The registry's one background thread: hears of changes, looks for missed ones, renews the leases of connections.

It has one connection to the control database of its own. While it is in touch, records may be believed for long
(`trust`); when it is not, they count as long as the settings say, and no lease is worth more than its time.
"""

import logging
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import Notify

from ...config.errors import StrongroomError
from ...config.settings import Settings
from ..control.engine import control_params
from ..keys import KeyStore
from ..tenants.ids import new_id
from . import queries
from .access import ServerAccess
from .changes import Changes
from .leases import FLOOR, LEASE_SECONDS, PROVISIONAL_LIMIT, Claim, Grant, grant, wanted
from .places import Demand
from .queries import Control
from .trust import Trust

_BEAT_SECONDS = 1.0  # between two renewals when nothing happens
_SHORTEST_ROUND = 0.05
_RENEWAL_PAUSE = 0.01  # at least, between two renewals that somebody asked for
_VAIN_PAUSE = 0.1  # the same after one that was asked for and changed nothing
_SETTLING_SECONDS = 2.5  # after touch is found again, until every other process has said again what it holds
_ANNOUNCE_PAUSE = 0.2  # at least, between two requests to the other processes
_FIRST_BACK_OFF, _LAST_BACK_OFF = 0.05, 1.0
_STOP_SECONDS = 5.0

_logger = logging.getLogger(__name__)


class Keeper:
    """Started when a registry is first used; one per registry."""

    def __init__(
        self,
        settings: Settings,
        keys: KeyStore,
        kind: str,
        trust: Trust,
        changes: Changes,
        accesses: Callable[[], list[ServerAccess]],
    ) -> None:
        """`kind` is the process's: web, worker or command. `accesses` returns the servers in use."""
        self.process_id = new_id()
        self._settings, self._keys, self._kind = settings, keys, kind
        self._trust, self._changes, self._accesses = trust, changes, accesses
        self._heard: deque[Notify] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._asked = False  # for a renewal before its time
        self._next_poll = self._next_beat = self._last_renewal = self._settles = 0.0
        self._renewal_pause = _RENEWAL_PAUSE
        self._counters_due = True
        self._announced: dict[str, float] = {}
        self._waking, self._woken = socket.socketpair()
        self._waking.setblocking(False)
        self._woken.setblocking(False)

    def start(self) -> None:
        """Start the thread unless it runs, or was stopped."""
        if self._thread is None and not self._stopping:
            with self._lock:
                if self._thread is None and not self._stopping:
                    self._thread = threading.Thread(target=self._run, name="strongroom-keeper", daemon=True)
                    self._thread.start()

    def wake(self) -> None:
        """Have the leases renewed now: somebody waits for a place, or one is given back."""
        if not self._asked:
            self._asked = True
            with suppress(OSError):  # full: it is being woken; closed: it has ended
                self._waking.send(b"!")

    def stop(self) -> None:
        """End the thread and give up the leases; takes seconds at most. For good."""
        with self._lock:
            self._stopping = True
        self._asked = False
        self.wake()
        if self._thread:
            self._thread.join(_STOP_SECONDS)
        if not (self._thread and self._thread.is_alive()):
            self._waking.close()
            self._woken.close()

    def _run(self) -> None:
        back_off = _FIRST_BACK_OFF
        while not self._stopping:
            began = time.monotonic()
            try:
                with psycopg.connect(**self._parameters()) as conn:
                    self._serve(conn)
            except (psycopg.Error, StrongroomError, OSError) as error:
                _logger.warning("Out of touch with the control database: %s", error)
            except Exception:  # without this thread the process would hear of nothing any more, for good
                _logger.exception("The registry's keeper begins anew.")
            self._settles = time.monotonic() + _SETTLING_SECONDS
            if time.monotonic() - began > _LAST_BACK_OFF:
                back_off = _FIRST_BACK_OFF
            self._pause(back_off)
            back_off = min(2 * back_off, _LAST_BACK_OFF)

    def _parameters(self) -> dict[str, Any]:
        parameters = control_params(self._settings, self._keys)
        return {**parameters, "autocommit": True, "application_name": "strongroom keeper"}

    def _serve(self, conn: Control) -> None:
        """Work until told to stop. Raises `psycopg.Error` when the connection is lost."""
        self._heard.clear()
        conn.add_notify_handler(self._heard.append)
        queries.listen(conn)
        for access in self._accesses():  # nobody told us meanwhile
            self._changes.server(access.name)
        self._next_poll = self._next_beat = 0.0
        while not self._stopping:
            self._apply_what_was_heard(conn)
            self._round(conn)
            self._sleep(conn)
        queries.remove_process(conn, self.process_id)

    def _apply_what_was_heard(self, conn: Control) -> None:
        while self._heard:
            notify = self._heard.popleft()
            if notify.channel == "strongroom_tenant":
                self._changes.tenant_announced(notify.payload)
            elif notify.channel == "strongroom_server":
                self._changes.server(notify.payload)
            elif notify.pid != conn.info.backend_pid:
                self._asked = True

    def _round(self, conn: Control) -> None:
        began = time.monotonic()
        if began >= self._next_poll:
            for tenant_id, generation, slug in queries.changed_tenants(conn):
                self._changes.tenant(tenant_id, generation, (slug,))
            self._trust.confirm(began)
            self._next_poll = began + self._interval
        if is_beat := began >= self._next_beat:
            queries.put_process(conn, self.process_id, self._kind)
            self._next_beat = began + _BEAT_SECONDS
            self._asked = self._counters_due = True
        if self._asked and began >= self._last_renewal + self._renewal_pause:
            self._asked = False
            changed = [self._renew(conn, access) for access in self._accesses()]
            self._renewal_pause = _RENEWAL_PAUSE if is_beat or any(changed) else _VAIN_PAUSE
            self._counters_due = False
            self._last_renewal = time.monotonic()

    @property
    def _interval(self) -> float:
        """Seconds between two looks for changes: twice within the time that a look is worth something."""
        seconds = self._trust.seconds
        return min(_BEAT_SECONDS, max(_SHORTEST_ROUND, seconds / 2)) if seconds else _BEAT_SECONDS

    def _renew(self, conn: Control, access: ServerAccess) -> bool:
        """Have the lease decided anew; say whether that changed anything.

        Growth counts once it is committed; what shrinks is reported when it is gone.
        """
        if access.limit is not None and access.asks_for_limit:
            queries.set_limit(conn, access.name, access.limit)
        began = time.monotonic()
        budget, demand, size = access.budget, access.budget.demand(), access.budget.size
        with conn.transaction():
            queries.lock_leases(conn, access.name)
            limit, claims = queries.claims(conn, access.name)
            before = next((claim for claim in claims if claim.process == self.process_id), None)
            others = [claim for claim in claims if claim is not before]
            holds = max(budget.places(), budget.size if before else 0)
            mine = Claim(self.process_id, holds, self._wanted(demand, budget.most, holds, began))
            given = grant(limit or PROVISIONAL_LIMIT, mine, others)
            now = Claim(mine.process, max(given.size, holds), mine.wanted)
            queries.put_claim(conn, access.name, now, access.stats() if self._counters_due or not before else None)
        access.asks_for_limit = limit is None
        shrinks = given.size < budget.size
        budget.resize(given.size, began + LEASE_SECONDS, may_grow=given.may_grow)
        access.has_lease.set()
        if shrinks:
            self._asked = True
        gave_back = before is not None and now.connections < before.connections
        if self._should_announce(access.name, given, others, waits=bool(demand.waiting), gave_back=gave_back):
            queries.announce(conn, access.name)
        return given.size != size

    def _wanted(self, demand: Demand, most: int, holds: int, now: float) -> int:
        """Return how many connections to ask for: no more than there are while others may not have claimed theirs."""
        return wanted(demand, most if now >= self._settles else min(most, max(FLOOR, holds)))

    def _should_announce(self, server: str, given: Grant, others: list[Claim], *, waits: bool, gave_back: bool) -> bool:
        if gave_back:
            return any(claim.connections < claim.wanted for claim in others)
        now = time.monotonic()
        if not (given.is_starved and waits) or now - self._announced.get(server, 0.0) < _ANNOUNCE_PAUSE:
            return False
        self._announced[server] = now
        return True

    def _sleep(self, conn: Control) -> None:
        """Wait until something is heard, somebody wakes us or something is due."""
        due = min(self._next_poll, self._next_beat)
        if self._asked:
            due = min(due, self._last_renewal + self._renewal_pause)
        self._pause(due - time.monotonic(), conn.fileno())
        conn.pgconn.consume_input()
        while notify := conn.pgconn.notifies():
            self._heard.append(Notify(notify.relname.decode(), notify.extra.decode(), notify.be_pid))

    def _pause(self, seconds: float, also: int | None = None) -> None:
        poll = select.poll()
        for fd in (self._woken.fileno(), also):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        with suppress(BlockingIOError):
            self._woken.recv(4096)
