"""What the worker does for backups. Importing this module registers the tasks."""

import atexit
import logging
from functools import cache

from ..config.settings import Settings
from ..platform.control.platform import Platform
from ..platform.jobs.app import defer_in, periodic, task
from . import copies, keycopies
from .collect import collect
from .runs import due_now, run_many
from .scratch import ScratchPool

TENANT_TASK = "backup.tenant"
CONTROL_TASK = "backup.control"

_logger = logging.getLogger(__name__)


@periodic("*/5 * * * *", "backup.due")
def queue_due(platform: Platform) -> None:
    """Queue one job for each backup that is due and does not wait already.

    The queue is worked off in its order, so the copy of the control database, queued last, knows of the others.
    """
    wanted = due_now(platform)
    with platform.control.begin() as conn:
        for tenant_id in wanted:
            name = f"backup {tenant_id or 'control'}"
            if tenant_id is None:
                defer_in(conn, CONTROL_TASK, lock=name, queueing_lock=name)
            else:
                defer_in(conn, TENANT_TASK, lock=name, queueing_lock=name, tenant_id=tenant_id)


# A failed backup is recorded, and due again after a while that grows (`due`): the queue does not repeat it.
@task(TENANT_TASK, retry=False)
def back_up_tenant(platform: Platform, tenant_id: str) -> None:
    """Back up one tenant and verify the backup."""
    _run(platform, tenant_id)


@task(CONTROL_TASK, retry=False)
def back_up_control(platform: Platform) -> None:
    """Back up the control database and verify the backup."""
    _run(platform, None)


@periodic("23 * * * *", "backup.collect")
def clear_up(platform: Platform) -> None:
    """Clear up after killed processes, and what has had its time."""
    done = {what: count for what, count in collect(platform).items() if count}
    if done:
        _logger.info("Cleared up: %s.", done)


@periodic("*/5 * * * *", "backup.copies")
def copy_to_stores(platform: Platform) -> None:
    """Have every store hold the backups and the keys that it is to have."""
    changed = keycopies.sync(platform)
    copied = copies.replicate(platform).copied
    if changed or copied:
        _logger.info("Copied to other stores: %d backups, %d key objects.", copied, changed)


def _run(platform: Platform, tenant_id: str | None) -> None:
    (outcome,) = run_many(platform, [tenant_id], scratch=_scratch(platform.settings))
    if outcome.error is not None:
        raise outcome.error


@cache
def _scratch(settings: Settings) -> ScratchPool:
    """Return the scratch instance that the jobs of this process share; it stops after a minute without work."""
    pool = ScratchPool(settings, linger=True)
    atexit.register(pool.close)
    return pool
