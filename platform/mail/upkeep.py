"""Mail that went out is not kept. Importing it registers the task."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from ...config.errors import StrongroomError
from ...tenant_schema.queries import outbox
from ..control.platform import Platform
from ..jobs.app import UPKEEP, periodic
from ..tenants import queries as tenants
from ..tenants.records import Tenant
from ..tenants.states import TenantState

SENT_KEPT: Final = timedelta(days=30)  # files too
FAILED_KEPT: Final = timedelta(days=90)

_logger = logging.getLogger(__name__)


@periodic("13 5 * * *", "forget_mail", queue=UPKEEP)
def forget_mail(platform: Platform) -> None:
    """Remove messages that were sent 30 days ago or given up 90 days ago, and files of 30 days ago."""
    now = datetime.now(UTC)
    with platform.control.connect() as conn:
        open_ones = tenants.list_all(conn, [TenantState.ACTIVE])
    for tenant in open_ones:
        _forget_in(platform, tenant, now)
    _remove_files(platform.settings.outbox_dir, now - SENT_KEPT)


def _forget_in(platform: Platform, tenant: Tenant, now: datetime) -> None:
    try:
        with platform.registry.connect(tenant) as conn, conn.begin():
            outbox.forget(conn, sent_before=now - SENT_KEPT, failed_before=now - FAILED_KEPT)
    except (StrongroomError, DBAPIError) as error:
        _logger.warning("Old mail of the workspace %s stays for a day: %s", tenant.id, error)


def _remove_files(folder: Path, before: datetime) -> None:
    for path in folder.glob("*.eml"):
        try:
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
        except OSError as error:
            _logger.warning("The old mail %s stays for a day: %s", path.name, error.strerror)
