"""The worker's part of the card feed. Importing it registers the tasks."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from ....config.errors import NotFoundError, StrongroomError
from ....tenant_schema.queries import cards
from ...control.platform import Platform
from ...jobs.app import UPKEEP, periodic, task
from ...jobs.sweeps import in_every_database
from ...keys.fields import FieldCipher
from ...tenants.records import Tenant
from ...tenants.states import TenantState
from ...webhooks.prompt import queue_delivery
from .booking import book
from .prompt import BOOK, queue

_KEPT: Final = timedelta(days=90)

_logger = logging.getLogger(__name__)


@task(BOOK)
def book_card_payments(platform: Platform, tenant_id: str) -> None:
    """Book what waits in a workspace, each payment in a transaction of its own together with the end of its event.

    One that the database will not have keeps no other waiting; its error is raised at the end.
    """
    try:
        tenant = platform.registry.tenant_by_id(tenant_id)
    except NotFoundError:
        return
    if tenant.state is not TenantState.ACTIVE:
        return  # found again once it is open
    with platform.registry.connect(tenant) as conn, conn.begin():
        waiting = cards.waiting(conn)
    told, failed = 0, None
    for event_id in waiting:
        try:
            told += _book_one(platform, tenant, event_id)
        except DBAPIError as error:
            _logger.warning("Card payment %s waits: %s", event_id, type(error.orig).__name__)
            failed = error
    if told:
        with platform.control.begin() as control:
            queue_delivery(control, tenant_id)
    if failed:
        raise failed


@periodic("7-59/10 * * * *", "find_card_payments", queue=UPKEEP)
def find_card_payments(platform: Platform) -> None:
    """Queue what a crash between a commit and its job has left."""
    for tenant, waiting in in_every_database(
        platform, cards.waiting, _logger, "Card payments of the workspace %s wait: %s"
    ):
        if waiting:
            with platform.control.begin() as control:
                queue(control, tenant.id)


@periodic("53 4 * * *", "forget_card_payments", queue=UPKEEP)
def forget_card_payments(platform: Platform) -> None:
    """Forget what is older than a quarter."""
    before = datetime.now(UTC) - _KEPT
    in_every_database(
        platform,
        lambda conn: cards.forget(conn, before),
        _logger,
        "Old card payments of the workspace %s stay for a day: %s",
    )


def _book_one(platform: Platform, tenant: Tenant, event_id: UUID) -> int:
    """Book one payment, unless somebody else does; return how many webhooks are to tell of it."""
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.registry.connect(tenant) as conn, conn.begin():
        event = cards.lock(conn, event_id)
        if event is None:
            return 0
        try:
            with conn.begin_nested():
                booked = book(conn, cipher, event)
        except StrongroomError as error:
            cards.finish(conn, event_id, error=str(error))
            return 0
        cards.finish(conn, event_id, expense_id=booked.expense_id)
        return booked.told
