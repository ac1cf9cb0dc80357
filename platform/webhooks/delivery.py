"""Delivering what waits in one workspace. No transaction is open while another machine is asked.

A delivery is claimed for a lease, tried, and finished, each in a short transaction: a worker that is killed in between
leaves one that is due again when its lease ends. So a message arrives at least once, under an id that stays.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from ...config.errors import CallError
from ...tenant_schema.queries import webhooks
from ...tenant_schema.queries.webhooks import Attempt, Claimed, Endpoint
from ...tenant_schema.tables import webhook_endpoint, webhook_event
from ..control.platform import Platform
from ..keys.fields import FieldCipher
from ..mail.delivery import send_soon
from ..tenants.records import Tenant
from .destination import read_url
from .pausing import pause_for
from .schedule import is_hopeless, next_try
from .sending import Outcome, Sender
from .signature import sign

LEASE_SECONDS: Final = 60.0  # well above the longest try
ROUND_SECONDS: Final = 30.0  # then other workspaces have their turn
HOLD_BACK: Final = timedelta(seconds=60)
GONE: Final = 410  # RFC 9110, 15.5.11: the receiver wants nothing any more
AGENT: Final = "Strongroom-Webhooks/1"


class Round:
    """One worker's turn with the deliveries of one workspace."""

    def __init__(self, platform: Platform, tenant: Tenant, sender: Sender, clock: Callable[[], datetime]) -> None:
        self._platform, self._tenant, self._sender, self._clock = platform, tenant, sender, clock
        self._cipher = FieldCipher(platform.keys.tenant(tenant.id))
        self._has_paused = False
        self.counted: Counter[str] = Counter()

    def run(self) -> datetime | None:
        """Deliver what is due; return when the next waits to be, which may be now, or None."""
        until = time.monotonic() + ROUND_SECONDS
        while time.monotonic() < until and (taken := self._claim()):
            outcome = self._send(taken)
            self._finish(taken, outcome)
        with self._platform.registry.connect(self._tenant) as conn:
            if self._has_paused:
                send_soon(conn, self._platform, self._tenant)
            with conn.begin():
                return webhooks.next_due(conn)

    def _claim(self) -> Claimed | None:
        with self._platform.registry.connect(self._tenant) as conn, conn.begin():
            return webhooks.claim(conn, LEASE_SECONDS)

    def _send(self, taken: Claimed) -> Outcome:
        endpoint, now = taken.endpoint, self._clock()
        body = self._cipher.open(webhook_event.c.payload, taken.event_id, taken.payload)
        headers = sign(keys_of(self._cipher, endpoint, now), str(taken.event_id), now, body)
        headers |= {"Content-Type": "application/json", "User-Agent": AGENT}
        try:
            url = self._cipher.open(webhook_endpoint.c.url, endpoint.id, endpoint.url)
            where = read_url(url, self._platform.settings.base_domain)  # again: what is allowed may have changed
        except CallError as error:
            return Outcome(None, str(error), 0, refused=True)
        return self._sender.send(where, headers, body.encode())

    def _finish(self, taken: Claimed, outcome: Outcome) -> None:
        now = self._clock()
        attempt = Attempt(now, outcome.status, outcome.error, outcome.milliseconds)
        self.counted["delivered" if outcome.delivered else "refused" if outcome.refused else "failed"] += 1
        with self._platform.registry.connect(self._tenant) as conn, conn.begin():
            if outcome.delivered:
                if webhooks.finish(conn, taken, "delivered", None, attempt):
                    webhooks.note_success(conn, taken.endpoint.id)
                return
            again = None if outcome.status == GONE else next_try(taken.attempts, now, random.random())  # noqa: S311  # jitter
            if webhooks.finish(conn, taken, "waiting" if again else "failed", again, attempt):
                self._after_failure(conn, taken, outcome, now)

    def _after_failure(self, conn: Connection, taken: Claimed, outcome: Outcome, now: datetime) -> None:
        endpoint = taken.endpoint
        since = webhooks.note_failure(conn, endpoint.id, now)
        if outcome.status == GONE:
            self._pause(conn, endpoint, "gone")
        elif since and is_hopeless(since, now):
            self._pause(conn, endpoint, "failing")
        elif outcome.status is None:
            webhooks.hold_back(conn, taken, now + HOLD_BACK)

    def _pause(self, conn: Connection, endpoint: Endpoint, reason: str) -> None:
        if pause_for(conn, self._cipher, self._platform, self._tenant, endpoint, reason):
            self._has_paused = True


def deliver(
    platform: Platform,
    tenant: Tenant,
    sender: Sender | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[datetime | None, Counter[str]]:
    """Deliver what is due in a workspace for half a minute at most.

    Returns when the next delivery waits to be tried, and how the tries ended. Raises what the registry raises where
    the workspace is not open.
    """
    turn = Round(platform, tenant, sender or Sender(), clock)
    return turn.run(), turn.counted


def keys_of(cipher: FieldCipher, endpoint: Endpoint, now: datetime) -> list[str]:
    """The keys that sign now: the endpoint's, and during a rotation the one before."""
    columns = webhook_endpoint.c
    keys = [cipher.open(columns.secret, endpoint.id, endpoint.secret)]
    if endpoint.previous_secret is not None and endpoint.previous_until is not None and now < endpoint.previous_until:
        keys.append(cipher.open(columns.previous_secret, endpoint.id, endpoint.previous_secret))
    return keys
