"""What was kept for repeated requests goes after a day, where ended tokens were used after a month.

Importing it registers the task.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.exc import DBAPIError

from ...config.errors import StrongroomError
from ...tenant_schema.queries import api_tokens
from ...tenant_schema.queries import idempotency as queries
from ..control.platform import Platform
from ..jobs.app import UPKEEP, periodic
from ..tenants import queries as tenants
from ..tenants.records import Tenant
from ..tenants.states import TenantState
from .idempotency import KEPT_FOR

ADDRESSES_KEPT: Final = timedelta(days=30)  # after a token's end
_logger = logging.getLogger(__name__)


@periodic("13 * * * *", "forget_api_answers", UPKEEP)
def forget_api_answers(platform: Platform) -> None:
    """Remove kept answers older than a day, and addresses of tokens that ended a month ago, in all workspaces."""
    with platform.control.connect() as conn:
        open_ones = tenants.list_all(conn, [TenantState.ACTIVE])
    for tenant in open_ones:
        forget_answers_of(platform, tenant, datetime.now(UTC))


def forget_answers_of(platform: Platform, tenant: Tenant, now: datetime) -> int:
    """Do so at `now` in one workspace; return how many answers went. What fails waits for the next time."""
    try:
        with platform.registry.connect(tenant) as conn, conn.begin():
            api_tokens.forget_addresses(conn, now - ADDRESSES_KEPT)
            return queries.forget_before(conn, now - KEPT_FOR)
    except (StrongroomError, DBAPIError) as error:
        _logger.warning("Kept answers of the workspace %s wait: %s", tenant.id, error)
        return 0
