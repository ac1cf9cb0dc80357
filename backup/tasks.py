"""What the worker does for backups. Importing this module registers the tasks."""

import atexit
import logging
from datetime import UTC, datetime
from functools import cache

from ..config.errors import StrongroomError, VerificationError
from ..config.settings import Settings
from ..platform.control.platform import Platform
from ..platform.jobs.app import BACKUP, UPKEEP, periodic, task
from . import alarms, copies, copy_checks, keycopies, scrub
from .clock import is_trusted
from .collect import collect, reopen
from .queueing import CONTROL_TASK, TENANT_TASK, queue_backup
from .runs import due_now, run_many, verify_one
from .scratch import ScratchPool
from .unchanged import note_unchanged

_PROVED_AT_ONCE = 20

_logger = logging.getLogger(__name__)


@periodic("*/5 * * * *", "backup.due", BACKUP)
def queue_due(platform: Platform) -> None:
    """Queue one job for each backup that is due and does not wait already, but for workspaces that are seen unchanged.

    The queue is worked off in its order, so the copy of the control database, queued last, knows of the others.
    """
    wanted = due_now(platform)
    unchanged = note_unchanged(platform, [tenant_id for tenant_id in wanted if tenant_id is not None])
    wanted = [tenant_id for tenant_id in wanted if tenant_id not in unchanged]
    with platform.control.begin() as conn:
        for tenant_id in wanted:
            queue_backup(conn, tenant_id)


@periodic("*/5 * * * *", "backup.alarms")
def look_for_troubles(platform: Platform) -> None:
    """Tell operators what has gone wrong with backups, and what is well again."""
    alarms.check(platform)


# A failed backup is recorded, and due again after a while that grows (`due`): the queue does not repeat it.
@task(TENANT_TASK, retry=False, queue=BACKUP)
def back_up_tenant(platform: Platform, tenant_id: str) -> None:
    """Back up one tenant and verify the backup."""
    _run(platform, tenant_id)


@task(CONTROL_TASK, retry=False, queue=BACKUP)
def back_up_control(platform: Platform) -> None:
    """Back up the control database and verify the backup."""
    _run(platform, None)


@periodic("*/2 * * * *", "backup.reopen")
def reopen_killed(platform: Platform) -> None:
    """Open the workspaces that a killed restore or move has left closed: their members wait."""
    if count := reopen(platform):
        _logger.warning("Opened %s workspaces again that a killed restore or move had left closed.", count)


@periodic("23 * * * *", "backup.collect", UPKEEP)
def clear_up(platform: Platform) -> None:
    """Clear up after killed processes, and what has had its time."""
    now = datetime.now(UTC)
    with platform.control.connect() as conn:
        trusted = is_trusted(conn, now)
    done = {what: count for what, count in collect(platform, now, keep_all=not trusted).items() if count}
    if done:
        _logger.info("Cleared up: %s.", done)


@periodic("37 * * * *", "backup.scrub", UPKEEP)
def read_again(platform: Platform) -> None:
    """Read this hour's share of all copies again, and prove what was stored and never verified."""
    now = datetime.now(UTC)
    checked = scrub.scrub(platform, scrub.longest_unchecked(platform, now), rate=scrub.QUIET_RATE)
    bad = [one for one in checked if one.error]
    with platform.control.connect() as conn:
        unproved = copy_checks.unproved(conn, now, _PROVED_AT_ONCE)
    for backup_id in unproved:
        try:
            verify_one(platform, backup_id, scratch=_scratch(platform.settings))
        except StrongroomError as error:
            _logger.warning("%s", error)
    if bad or unproved:
        alarms.check_now(platform)


@periodic("*/5 * * * *", "backup.copies", UPKEEP)
def copy_to_stores(platform: Platform) -> None:
    """Have every store hold the backups and the keys that it is to have."""
    changed = keycopies.sync(platform)
    copied = copies.replicate(platform).copied
    if changed or copied:
        _logger.info("Copied to other stores: %d backups, %d key objects.", copied, changed)


def _run(platform: Platform, tenant_id: str | None) -> None:
    (outcome,) = run_many(platform, [tenant_id], scratch=_scratch(platform.settings))
    if isinstance(outcome.error, VerificationError) or (outcome.backup and outcome.backup.receipts_lost):
        alarms.check_now(platform)  # not in five minutes
    if outcome.error is not None:
        raise outcome.error


@cache
def _scratch(settings: Settings) -> ScratchPool:
    """Return the scratch instance that the jobs of this process share; it stops after a minute without work."""
    pool = ScratchPool(settings, linger=True)
    atexit.register(pool.close)
    return pool
