"""The worker's part: deliver when asked, try again when it is time, find what a crash left, forget what is old."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from ...config.errors import NotFoundError
from ...tenant_schema.queries import webhooks
from ..control.platform import Platform
from ..jobs.app import HOOKS, UPKEEP, defer_in, periodic, task
from ..jobs.sweeps import in_every_database, in_every_workspace
from ..tenants.records import Tenant
from ..tenants.states import TenantState
from . import queries
from .delivery import deliver
from .prompt import DELIVER, queue_delivery

KEPT: Final = timedelta(days=30)  # payloads and their log
_AT_ONCE: Final = 1000  # events that one transaction forgets
_SLOT: Final = timedelta(seconds=5)  # tries again within one are one job

_logger = logging.getLogger(__name__)


@task(DELIVER, queue=HOOKS)
def deliver_webhooks(platform: Platform, tenant_id: str) -> None:
    """Deliver what is due in a workspace, and come back when more is."""
    try:
        tenant = platform.registry.tenant_by_id(tenant_id)
    except NotFoundError:
        return
    if tenant.state is not TenantState.ACTIVE:
        return  # what waits is found again once the workspace is open
    due, counted = deliver(platform, tenant)
    with platform.control.begin() as control:
        queries.count(control, counted)
        if due is not None:
            _come_back(control, tenant_id, due)


@periodic("4-59/10 * * * *", "find_webhooks", queue=UPKEEP)
def find_webhooks(platform: Platform) -> None:
    """Queue the delivery wherever something is due: a crash came between a commit and its job, or a job was lost."""
    now = datetime.now(UTC)
    for tenant, due in in_every_database(platform, webhooks.next_due, _logger, "Webhooks of the workspace %s wait: %s"):
        if due is not None and due <= now:
            with platform.control.begin() as control:
                queue_delivery(control, tenant.id)


@periodic("23 4 * * *", "forget_webhooks", queue=UPKEEP)
def forget_webhooks(platform: Platform) -> None:
    """Remove events and their delivery log after 30 days."""
    before = datetime.now(UTC) - KEPT

    def forget(tenant: Tenant) -> None:
        gone = _AT_ONCE
        while gone == _AT_ONCE:
            with platform.registry.connect(tenant) as conn, conn.begin():
                gone = webhooks.forget_events(conn, before, _AT_ONCE)

    in_every_workspace(platform, forget, _logger, "Old webhooks of the workspace %s stay for a day: %s")


def _come_back(control: Connection, tenant_id: str, due: datetime) -> None:
    slot = _SLOT.total_seconds()
    at = datetime.fromtimestamp((due.timestamp() // slot + 1) * slot, UTC)
    lock = f"{DELIVER} {tenant_id} {int(at.timestamp())}"
    defer_in(control, DELIVER, queueing_lock=lock, run_at=at, queue=HOOKS, tenant_id=tenant_id)
