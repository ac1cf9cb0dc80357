"""Sending what waits in the workspaces' outboxes."""

import logging

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ...config.errors import StrongroomError
from ..control.platform import Platform
from ..jobs.app import periodic
from ..keys.fields import FieldCipher
from ..tenants import queries as tenants
from ..tenants.records import Tenant
from ..tenants.states import TenantState
from . import outbox

_logger = logging.getLogger(__name__)


def deliver_waiting(platform: Platform, tenant: Tenant) -> int:
    """Send the messages that wait in an open workspace; return how many. What fails waits for the next time."""
    try:
        with platform.registry.connect(tenant) as own:
            return deliver_over(own, platform, tenant)
    except StrongroomError as error:
        return _postpone(tenant, error)


def deliver_over(own: Connection, platform: Platform, tenant: Tenant) -> int:
    """Do what `deliver_waiting` does over a connection to the tenant's database that is open already."""
    try:
        with own.begin():
            return outbox.deliver(own, FieldCipher(platform.keys.tenant(tenant.id)), platform.settings)
    except (StrongroomError, OSError, DBAPIError) as error:
        return _postpone(tenant, error)


def _postpone(tenant: Tenant, error: Exception) -> int:
    _logger.warning("Mail of the workspace %s waits: %s", tenant.id, error)
    return 0


@periodic("*/10 * * * *", "deliver_mail")
def deliver_mail(platform: Platform) -> None:
    """Send what a crash between a commit and its delivery left behind, in all workspaces."""
    with platform.control.connect() as conn:
        open_ones = tenants.list_all(conn, [TenantState.ACTIVE])
    for tenant in open_ones:
        deliver_waiting(platform, tenant)
