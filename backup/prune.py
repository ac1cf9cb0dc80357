"""Retention: what has had its time goes, from the catalogue first, then from every store.

Killed at any point it leaves nothing false: an entry without object cannot come to be, and objects without entry are
removed by the collector.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.exc import IntegrityError

from ..config.errors import StrongroomError
from ..platform.control.platform import Platform
from ..platform.protection import queries as protection
from ..platform.protection.policy import Policy, policy_of
from ..platform.tenants import queries as tenants
from . import catalogue
from .copies import remove_everywhere
from .progress import Event, Progress, silent
from .receipt_pruning import remove_unnamed
from .records import Backup, BackupState
from .retention import Keep, Kept, removable

_FINISHED = tuple(state for state in BackupState if state is not BackupState.RUNNING)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pruned:
    """A backup that has had its time, and why."""

    backup: Backup
    why: str


def plan_pruning(platform: Platform, now: datetime | None = None, slug: str | None = None) -> list[Pruned]:
    """Return what retention would remove now, of one workspace or of everything. Raises `NotFoundError`."""
    now = now or datetime.now(UTC)
    groups, policies = _groups(platform, slug), _policies(platform)
    default = policy_of(platform.settings)
    return [
        Pruned(group[one.id], one.why)
        for tenant_id, group in groups.items()
        for one in removable(map(_kept, group.values()), now, _keep(policies.get(tenant_id, default)))
    ]


def prune(
    platform: Platform, now: datetime | None = None, slug: str | None = None, *, progress: Progress = silent
) -> list[Pruned]:
    """Remove what retention says, and the receipts that only removed backups had; return what was removed.

    What a store does not give up now (a lock, an outage) the collector removes later. Raises `NotFoundError`.
    """
    now = now or datetime.now(UTC)
    planned = plan_pruning(platform, now, slug)
    gone = [one for one in _counted(planned, progress) if _remove(platform, one.backup)]
    for tenant_id in {one.backup.tenant_id for one in gone if one.backup.receipts}:
        _remove_receipts(platform, tenant_id, now)
    return gone


def _counted(planned: list[Pruned], progress: Progress) -> Iterator[Pruned]:
    for number, one in enumerate(planned, 1):
        progress(Event(one.backup.label, f"removing {one.backup.id}", number, len(planned)))
        yield one


def _remove(platform: Platform, backup: Backup) -> bool:
    """Remove entry and objects; False if the entry must stay: a finding of no change was just made to stand on it."""
    try:
        with platform.control.begin() as conn:
            catalogue.forget(conn, backup.id)
    except IntegrityError:
        return False
    _remove_objects(platform, backup)
    return True


def _remove_objects(platform: Platform, backup: Backup) -> None:
    try:
        remove_everywhere(platform, backup)
    except StrongroomError as error:
        _logger.warning("The objects of the backup %s stay for now: %s", backup.id, error)


def _remove_receipts(platform: Platform, tenant_id: str | None, now: datetime) -> None:
    assert tenant_id is not None, "the control database has no receipts"
    try:
        remove_unnamed(platform, tenant_id, now)
    except StrongroomError as error:
        _logger.warning("Receipts of %s that no backup names any more stay for now: %s", tenant_id, error)


def _groups(platform: Platform, slug: str | None) -> dict[str | None, dict[str, Backup]]:
    groups: dict[str | None, dict[str, Backup]] = {}
    with platform.control.connect() as conn:
        only = tenants.by_slug(conn, slug).id if slug else None
        for backup in catalogue.in_states(conn, _FINISHED, only):
            groups.setdefault(backup.tenant_id, {})[backup.id] = backup
    return groups


def _policies(platform: Platform) -> dict[str | None, Policy]:
    """The policy of each workspace."""
    with platform.control.connect() as conn:
        by_plan = protection.policies(conn, platform.settings)
        return {one.id: by_plan[one.plan] for one in tenants.list_all(conn)}


def _keep(policy: Policy) -> Keep:
    return Keep(policy.days, policy.weekly, policy.monthly, policy.yearly)


def _kept(backup: Backup) -> Kept:
    return Kept(backup.id, backup.state.value, backup.started_at, backup.unchanged_since)
