"""What was kept for repeated requests goes after a day, where ended tokens were used after a month.

Importing it registers the task.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from ...tenant_schema.queries import api_tokens
from ...tenant_schema.queries import idempotency as queries
from ..control.platform import Platform
from ..jobs.app import UPKEEP, periodic
from ..jobs.sweeps import in_every_database
from .idempotency import KEPT_FOR

ADDRESSES_KEPT: Final = timedelta(days=30)  # after a token's end
_logger = logging.getLogger(__name__)


@periodic("13 * * * *", "forget_api_answers", UPKEEP)
def forget_api_answers(platform: Platform) -> None:
    """Remove kept answers older than a day, and addresses of tokens that ended a month ago, in all workspaces."""
    now = datetime.now(UTC)
    in_every_database(platform, lambda conn: forget(conn, now), _logger, "Kept answers of the workspace %s wait: %s")


def forget(conn: Connection, now: datetime) -> None:
    """Do so in one workspace. The caller owns the transaction."""
    api_tokens.forget_addresses(conn, now - ADDRESSES_KEPT)
    queries.forget_before(conn, now - KEPT_FOR)
