"""Sending what waits in the workspaces' outboxes: to the mail server, or as files where none is configured.

Never twice. A message is claimed in a transaction of its own; the server gets all of it but the final dot; a second
transaction writes down that it is handed over, if the claim still holds; then comes the dot, and the answer is written
down. Killed before that second transaction, the message waits again once the claim is over; killed after it, nobody
knows whether the server has it, and it is marked as failed for an operator to decide. No transaction is open while the
server is talked to.
"""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ...config.errors import StrongroomError, UnavailableError
from ...tenant_schema.queries import outbox as queries
from ...tenant_schema.queries.outbox import Message, Standing
from ..control.platform import Platform
from ..jobs.app import MAIL, defer_in, periodic, task
from ..jobs.sweeps import open_workspaces
from ..keys.fields import FieldCipher
from ..tenants.records import Tenant
from ..tenants.states import TenantState
from . import outbox, standings
from .letters import compose
from .schedule import wait_after
from .server import MailServer, NeverError, TryLaterError, UnknownOutcomeError

LEASE: Final = timedelta(minutes=20)  # longer than handing over one message may take
TASK: Final = "deliver_workspace_mail"
UNKNOWN: Final = "Nobody knows whether the mail server has it: delivery ended between the last byte and its answer."
_PAUSE: Final = timedelta(seconds=60)  # after a mail server that cannot be used, for all workspaces of this process
_TURN_SECONDS: Final = 30.0  # of one workspace, before others get theirs

_logger = logging.getLogger(__name__)


class Brake:
    """Keeps a process from trying a mail server again that it has just found unusable. Reading or setting is atomic."""

    def __init__(self) -> None:
        self._until = 0.0

    def pull(self) -> None:
        """Try nothing for a while."""
        self._until = time.monotonic() + _PAUSE.total_seconds()

    def release(self) -> None:
        """Try at once."""
        self._until = 0.0

    @property
    def is_on(self) -> bool:
        """Whether nothing is to be tried now."""
        return time.monotonic() < self._until


brake: Final = Brake()


def send_soon(conn: Connection, platform: Platform, tenant: Tenant) -> int:
    """See to what a committed transaction of `conn` has queued, without talking to a mail server; return what is out.

    Files are written at once; for a mail server a job is queued. What goes wrong is logged: the periodic delivery sends
    what is left. No transaction may be open on `conn`.
    """
    conn.info.pop(outbox.QUEUED, None)
    try:
        if platform.settings.smtp_host:
            queue_job(platform, tenant)
            return 0
        return _write_files(conn, platform, tenant)
    except (StrongroomError, OSError, DBAPIError) as error:
        return _wait(tenant, error)


def deliver_waiting(platform: Platform, tenant: Tenant) -> int:
    """Send the messages of an open workspace that are due; return how many. What fails waits for the next time."""
    with MailServer(platform.settings) as server:
        return _deliver(platform, tenant, server)


@task(TASK, retry=False, queue=MAIL)
def deliver_workspace_mail(platform: Platform, tenant_id: str) -> None:
    """Send what is due in one workspace, and come back when the rest is."""
    tenant = platform.registry.tenant_by_id(tenant_id)
    if tenant.state is TenantState.ACTIVE:
        deliver_waiting(platform, tenant)


@periodic("1-59/10 * * * *", "deliver_mail", queue=MAIL)
def deliver_mail(platform: Platform) -> None:
    """Send what is due in all workspaces: the net beneath the jobs, which a crash may have kept from being queued."""
    open_ones = open_workspaces(platform)
    with MailServer(platform.settings) as server:
        for tenant in open_ones:
            _deliver(platform, tenant, server)


def _deliver(platform: Platform, tenant: Tenant, server: MailServer) -> int:
    try:
        if not platform.settings.smtp_host:
            with platform.registry.connect(tenant) as conn:
                sent = _write_files(conn, platform, tenant)
        else:
            sent = _hand_over_all(platform, tenant, server)
        keep_standing(platform, tenant)
    except (StrongroomError, OSError, DBAPIError) as error:
        return _wait(tenant, error)
    return sent


def _write_files(conn: Connection, platform: Platform, tenant: Tenant) -> int:
    with conn.begin():
        return outbox.deliver(conn, _cipher(platform, tenant), platform.settings)


def _hand_over_all(platform: Platform, tenant: Tenant, server: MailServer) -> int:
    """Hand over one message after the other until none is due, the server cannot be used, or the turn is over.

    What is left then is queued by `keep_standing`.
    """
    with _transaction(platform, tenant) as conn:
        for lost in queries.give_up_lost(conn, UNKNOWN):
            _logger.error("Mail %s of the workspace %s may be out or not: it is not sent again.", lost, tenant.id)
    sent, ends = 0, time.monotonic() + _TURN_SECONDS
    while not brake.is_on:
        with _transaction(platform, tenant) as conn:
            message = queries.claim(conn, LEASE)
        if message is None:
            break
        sent += _hand_over(platform, tenant, server, message)
        if time.monotonic() >= ends:
            break
    return sent


def _hand_over(platform: Platform, tenant: Tenant, server: MailServer, message: Message) -> bool:
    def begin() -> bool:
        with _transaction(platform, tenant) as conn:
            return queries.hand_over(conn, message, LEASE)

    try:
        letter = outbox.opened(message, _cipher(platform, tenant))
        composed = compose(letter, platform.settings)
    except (StrongroomError, ValueError):
        _give_up(platform, tenant, message, outbox.UNREADABLE)
        return False
    try:
        if not server.send(composed, letter.recipient, begin):
            return False  # another process has claimed it anew
    except UnknownOutcomeError as error:
        _give_up(platform, tenant, message, str(error), unknown=True)
    except NeverError as error:
        _give_up(platform, tenant, message, str(error))
    except (TryLaterError, UnavailableError) as error:  # unavailable: this workspace's database
        _postpone(platform, tenant, message, str(error))
    except StrongroomError as error:  # the server as a whole, or our settings
        brake.pull()
        _postpone(platform, tenant, message, str(error))
    else:
        _mark_sent(platform, tenant, message)
        return True
    return False


def _mark_sent(platform: Platform, tenant: Tenant, message: Message) -> None:
    """The server has it; a database that is away for a moment must not leave that unknown."""
    for wait in (1, 5, None):
        try:
            with _transaction(platform, tenant) as conn:
                queries.mark_sent(conn, message.id)
        except (StrongroomError, DBAPIError):
            if wait is None:
                raise
            time.sleep(wait)
        else:
            return


def _postpone(platform: Platform, tenant: Tenant, message: Message, error: str) -> None:
    wait = wait_after(message.attempts)
    if wait is None:
        _give_up(platform, tenant, message, error)
        return
    _logger.warning("Mail %s of the workspace %s waits %s: %s", message.id, tenant.id, wait, error)
    with _transaction(platform, tenant) as conn:
        queries.postpone(conn, message, wait, error)


def _give_up(platform: Platform, tenant: Tenant, message: Message, error: str, *, unknown: bool = False) -> None:
    _logger.error("Mail %s of the workspace %s is given up: %s", message.id, tenant.id, error)
    with _transaction(platform, tenant) as conn:
        queries.give_up(conn, message, error, unknown=unknown)


def keep_standing(platform: Platform, tenant: Tenant) -> None:
    """Write down what is left, and queue a job for when the next of it is due."""
    with _transaction(platform, tenant) as conn:
        left = queries.standing(conn)
    with platform.control.begin() as conn:
        standings.write(conn, tenant.id, left)
        if platform.settings.smtp_host and left.next_at is not None:
            _queue(conn, tenant, f"mail later {tenant.id}", _later(left))


def _later(left: Standing) -> datetime:
    """Not before the brake is off: what is due already would be asked for in a circle."""
    soonest = datetime.now(UTC) + (_PAUSE if brake.is_on else timedelta(seconds=1))
    return max(left.next_at or soonest, soonest)


def queue_job(platform: Platform, tenant: Tenant) -> None:
    """Have a worker send what is due in a workspace, soon."""
    with platform.control.begin() as conn:
        _queue(conn, tenant, f"mail {tenant.id}", None)


def _queue(conn: Connection, tenant: Tenant, queueing_lock: str, run_at: datetime | None) -> None:
    defer_in(conn, TASK, queueing_lock=queueing_lock, run_at=run_at, queue=MAIL, tenant_id=tenant.id)


@contextmanager
def _transaction(platform: Platform, tenant: Tenant) -> Generator[Connection]:
    """A short transaction: the connection goes back at its end."""
    with platform.registry.connect(tenant) as conn, conn.begin():
        yield conn


def _cipher(platform: Platform, tenant: Tenant) -> FieldCipher:
    return FieldCipher(platform.keys.tenant(tenant.id))


def _wait(tenant: Tenant, error: Exception) -> int:
    _logger.warning("Mail of the workspace %s waits: %s", tenant.id, error)
    return 0
