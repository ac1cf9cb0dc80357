"""Jobs of provisioning. Importing this module registers them with the queue."""

import logging
from datetime import UTC, datetime, timedelta

from ..config.errors import StrongroomError
from ..platform.control.platform import Platform
from ..platform.jobs.app import UPKEEP, defer_in, periodic, task
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Placement, PlacementState
from ..platform.tenants.requests import PROVISION
from ..platform.tenants.states import TenantState
from .create import provision
from .isolation.verify import verify_isolation
from .placements import drop_placement
from .receipts import collect_receipts
from .refilling import REFILL, queue_refill
from .repair import undisturbed
from .spares import refill

_ABANDONED_AFTER = timedelta(days=1)
# A worker that has just started takes the first backups before it makes spares for later.
_REFILL_AFTER = timedelta(seconds=20)

_logger = logging.getLogger(__name__)


@task(PROVISION)
def provision_tenant(platform: Platform, tenant_id: str) -> None:
    """Build the workspace that sign-up or `tenant create` asked for."""
    provision(platform, tenant_id)


@periodic("*/5 * * * *", "resume_provisioning")
def resume_provisioning(platform: Platform) -> None:
    """Queue the pending workspaces whose job was lost; one that is queued already stays as it is."""
    with platform.control.begin() as conn:
        for tenant in tenants.list_all(conn, [TenantState.PENDING]):
            defer_in(
                conn,
                PROVISION,
                lock=f"tenant:{tenant.id}",
                queueing_lock=f"{PROVISION}:{tenant.id}",
                tenant_id=tenant.id,
            )


@task(REFILL)
def refill_spares(platform: Platform) -> None:
    """Fill the pool of spare databases up; what is left to do goes to the end of the queue."""
    if refill(platform):
        with platform.control.begin() as conn:
            queue_refill(conn)


@periodic("*/3 * * * *", "keep_spares")
def keep_spares(platform: Platform) -> None:
    """Have the pool looked at: for a new schema revision, a changed setting, and what a killed worker has left."""
    with platform.control.begin() as conn:
        queue_refill(conn, _REFILL_AFTER)


@periodic("17 * * * *", "drop_placements")
def drop_placements(platform: Platform) -> None:
    """Drop the databases whose time is over, and finish the drops that a killed worker began."""
    with platform.control.connect() as conn:
        left = placements.in_state(
            conn, PlacementState.RETIRED, PlacementState.DROPPING, PlacementState.BUILDING, PlacementState.READY
        )
        pending = {tenant.id for tenant in tenants.list_all(conn, [TenantState.PENDING])}
    now = datetime.now(UTC)
    for placement in left:
        if is_over(placement, now) and placement.tenant_id not in pending:
            try:
                with undisturbed(platform, placement.id):
                    drop_placement(platform, placement.id)
            except StrongroomError as error:
                _logger.warning("The database %s is kept for now: %s", placement.database, error)


@periodic("47 3 * * *", "collect_receipts", UPKEEP)
def collect_receipts_daily(platform: Platform) -> None:
    """Remove receipts that no row names any more."""
    removed = collect_receipts(platform)
    if removed:
        _logger.info("Removed %s receipt objects that nothing names.", removed)


def is_over(placement: Placement, now: datetime) -> bool:
    """Say whether nobody will need a placement any more: past its date, half dropped, or never finished."""
    match placement.state:
        case PlacementState.RETIRED:
            return placement.drop_after is not None and placement.drop_after <= now
        case PlacementState.DROPPING:
            return True
        case PlacementState.BUILDING | PlacementState.READY:
            # Of a restore that was killed before the switch. Spares wait; the refill clears up after their builders.
            return not placement.spare and placement.created_at < now - _ABANDONED_AFTER
        case _:
            return False


@periodic("29 4 * * *", "verify_isolation", UPKEEP)
def verify_isolation_daily(platform: Platform) -> None:
    """Check all grants and rules and attack some workspaces, once a day; the result is recorded."""
    report = verify_isolation(platform, live=5)
    for sentence in report.problems():
        _logger.error("Isolation: %s", sentence)
