"""Mail that went out is not kept. Importing it registers the task."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ...tenant_schema.queries import outbox
from ..control.platform import Platform
from ..jobs.app import UPKEEP, periodic
from ..jobs.sweeps import in_every_database

SENT_KEPT: Final = timedelta(days=30)  # files too
FAILED_KEPT: Final = timedelta(days=90)

_logger = logging.getLogger(__name__)


@periodic("13 5 * * *", "forget_mail", queue=UPKEEP)
def forget_mail(platform: Platform) -> None:
    """Remove messages that were sent 30 days ago or given up 90 days ago, and files of 30 days ago."""
    now = datetime.now(UTC)
    in_every_database(
        platform,
        lambda conn: outbox.forget(conn, sent_before=now - SENT_KEPT, failed_before=now - FAILED_KEPT),
        _logger,
        "Old mail of the workspace %s stays for a day: %s",
    )
    _remove_files(platform.settings.outbox_dir, now - SENT_KEPT)


def _remove_files(folder: Path, before: datetime) -> None:
    for path in folder.glob("*.eml"):
        try:
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
        except OSError as error:
            _logger.warning("The old mail %s stays for a day: %s", path.name, error.strerror)
