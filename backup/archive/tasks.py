"""What the worker does for the way back to a point in time. Importing this module registers the tasks."""

import logging
from datetime import UTC, datetime, timedelta

from ...platform.control.platform import Platform
from ...platform.jobs.app import UPKEEP, defer_in, periodic, task
from ...platform.servers import bases
from ...provisioning.postgres.embedded import EmbeddedServer
from ...provisioning.postgres.setup import EMBEDDED_NAME
from ...provisioning.postgres.spool import is_archiving
from ..clock import is_trusted
from .base import run_base_backup
from .expiry import expire, give_up_lost
from .places import archive_store_name

BASE_TASK = "archive.base"
_EVERY = timedelta(hours=24)
_FIRST_AFTER = timedelta(seconds=45)  # `up` has enough to do at first

_logger = logging.getLogger(__name__)


@periodic("*/10 * * * *", "archive.due")
def queue_base(platform: Platform) -> None:
    """Queue a base backup if one is due. Without an archiver the log would only pile up."""
    if is_archiving(platform.settings) and base_is_due(platform, datetime.now(UTC)):
        _queue(platform)


def queue_first_base(platform: Platform) -> None:
    """Queue a base backup for soon, if one is due: what a start of everything does."""
    if base_is_due(platform, datetime.now(UTC)):
        _queue(platform, datetime.now(UTC) + _FIRST_AFTER)


# One that fails is recorded, and due again at the next look.
@task(BASE_TASK, retry=False, queue=UPKEEP)
def take_base(platform: Platform) -> None:
    """Take a base backup of the embedded server, unless another one was faster or the archiver is gone."""
    if is_archiving(platform.settings) and base_is_due(platform, datetime.now(UTC)):
        done = run_base_backup(platform)
        _logger.info("The base backup %s is stored.", done.id)


@periodic("37 * * * *", "archive.expire", UPKEEP)
def expire_archive(platform: Platform) -> None:
    """Destroy what nothing inside the window needs any more."""
    now = datetime.now(UTC)
    give_up_lost(platform, now)
    with platform.control.connect() as conn:
        trusted = is_trusted(conn, now)
    if trusted:
        expire(platform, now)


def base_is_due(platform: Platform, now: datetime) -> bool:
    """Say whether the embedded server needs a base backup.

    The last one is a day old, its log has a gap, the server's data are others, or the archive has another store now.
    """
    settings, spool = platform.settings, EmbeddedServer(platform.settings).spool
    if settings.point_in_time_days == 0:
        return False
    with platform.control.connect() as conn:
        stored = bases.in_state(conn, bases.STORED, EMBEDDED_NAME)
    if not stored or stored[-1].started_at < now - _EVERY or spool.gap_since():
        return True
    return (stored[-1].system_id, stored[-1].store) != (spool.system_id(), archive_store_name(settings))


def _queue(platform: Platform, run_at: datetime | None = None) -> None:
    with platform.control.begin() as conn:
        defer_in(conn, BASE_TASK, queue=UPKEEP, lock=BASE_TASK, queueing_lock=BASE_TASK, run_at=run_at)
