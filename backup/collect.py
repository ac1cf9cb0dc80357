"""Clears up after processes that were killed, and what has had its time. Safe at any moment, in several processes."""

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy.exc import DBAPIError

from ..config.errors import BusyError, FailedError, StrongroomError
from ..platform.audit.queries import AuditEntry
from ..platform.control.platform import Platform
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Placement, PlacementState, Tenant
from ..platform.tenants.states import TenantState
from ..provisioning.create import tenant_lock
from ..provisioning.locking import held
from ..provisioning.placements import drop_placement
from ..provisioning.postgres.embedded import EmbeddedServer
from ..provisioning.postgres.locks import exclusive
from ..provisioning.postgres.scratch import instances, sweep
from ..provisioning.repair import undisturbed
from . import catalogue, names, switch, traces
from .archive.names import ROOT as ARCHIVE
from .copies import in_each, remove_everywhere
from .erasure.erase import clear_latecomers, erase, unfinished
from .erasure.records import Erasure
from .prune import prune
from .records import BackupState
from .stores.contract import Store
from .stores.opening import open_store
from .subject import SERVICE_FOLDER

GRACE = timedelta(hours=24)  # longer than any backup or restore takes
_FAILURES = (StrongroomError, psycopg.Error)  # of one thing, which keep nothing else from being cleared up

_logger = logging.getLogger(__name__)


def collect(platform: Platform, now: datetime | None = None, *, keep_all: bool = False) -> dict[str, int]:
    """Do everything below; return how many things each part has cleared up.

    A part that fails keeps no other from its work. `keep_all`: the clock is not trusted with what has had its time.
    """
    now = now or datetime.now(UTC)
    parts: dict[str, Callable[[], int]] = {
        "backups given up": lambda: give_up_expired(platform, now),
        "erasures finished": lambda: finish_erasures(platform),
        "objects of erased accounts": lambda: clear_latecomers(platform, now),
        "restores undone": lambda: undo_restores(platform, now),
        "service files": lambda: remove_service_files(platform, now),
        "throw-away servers": lambda: end_throw_away_servers(platform),
    }
    dated: dict[str, Callable[[], int]] = {
        "objects without entry": lambda: in_each(platform, lambda store: remove_orphans(platform, store, now))[0],
        "copies undone": lambda: undo_copies(platform, open_store(platform.settings), now),
        "databases past their date": lambda: drop_retired(platform, now),
        "backups past their date": lambda: len(prune(platform, now)),
    }
    return {what: _count(what, part) for what, part in (parts if keep_all else parts | dated).items()}


def _count(what: str, part: Callable[[], int]) -> int:
    try:
        return part()
    except (*_FAILURES, DBAPIError, OSError) as error:
        _logger.warning("Clearing up (%s) has failed for now: %s", what, str(error).splitlines()[0])
        return 0


def give_up_expired(platform: Platform, now: datetime) -> int:
    """Mark backups as failed whose process shows no sign of life, and remove what failed ones have stored."""
    with platform.control.begin() as conn:
        expired = catalogue.expired(conn, now)
        for backup in expired:
            sentence = "The process that made this backup ended in the middle of it."
            catalogue.mark_failed(conn, backup.id, sentence, now, (BackupState.RUNNING,))
    with platform.control.connect() as conn:
        # One that failed its verification stays until its time is over: it may be all that somebody has.
        failed = catalogue.unfinished(conn)
    for backup in failed:
        with suppress(FailedError):  # a store that is away: the next time
            remove_everywhere(platform, backup)
            with platform.control.begin() as conn:
                catalogue.forget_object(conn, backup.id)
    return len(expired)


def remove_orphans(platform: Platform, store: Store, now: datetime) -> int:
    """Remove dumps and descriptors that no entry names, and unfinished objects, once they are a day old.

    What the archive of the log holds is none of a tenant's: `archive.expiry` ends it.
    """
    # First the objects, then the entries: an entry is there before its object, however wrong the clock is.
    tenants_own = (found for found in store.list() if not found.name.startswith(f"{ARCHIVE}/"))
    old = [found for found in tenants_own if now - found.modified > GRACE]
    with platform.control.connect() as conn:
        dumps = catalogue.object_names(conn)
        lost = set(platform.keys.tenant_ids()) - tenants.all_ids(conn)
    known = dumps | {names.descriptor_object(dump) for dump in dumps}
    there = {found.name for found in old}
    limit = names.new_backup_id(now - timedelta(days=platform.settings.backup_retention_days))
    orphans = [
        name
        for name in there
        if name.endswith((".age", ".json")) and name not in known and not _is_of_use(name, there, lost, limit)
    ]
    unfinished = [found.name for found in store.abandoned() if now - found.modified > GRACE]
    return sum(map(store.delete, orphans)) + sum(map(store.delete_abandoned, unfinished))


def _is_of_use(name: str, there: set[str], lost: set[str], limit: str) -> bool:
    """A whole backup that is young, or of a workspace whose keys are all that is known of it.

    A recovery from an older copy of the control database knows of neither.
    """
    folder, _, object_name = name.rpartition("/")
    stem = object_name.rpartition(".")[0]
    if folder.rpartition("/")[2] in lost:
        return True
    return stem > limit and {f"{folder}/{stem}.age", f"{folder}/{stem}.json"} <= there


def finish_erasures(platform: Platform) -> int:
    """Go on with the erasures that were interrupted, on the word of whoever began them; return how many ended."""
    return sum(_finish_erasure(platform, one) for one in unfinished(platform))


def undo_restores(platform: Platform, now: datetime) -> int:
    """Open tenants again whose restore or move was killed, and drop the databases that these have left."""
    undone = reopen(platform)
    with platform.control.connect() as conn:
        unfinished = placements.in_state(conn, PlacementState.BUILDING, PlacementState.READY)
        everyone = {tenant.id: tenant for tenant in tenants.list_all(conn)}
    left = [placement for placement in unfinished if _is_left_over(placement, everyone, now)]
    return undone + sum(_drop(platform, placement) for placement in left)


def reopen(platform: Platform) -> int:
    """Open workspaces again whose restore or move was killed while they were closed; return how many."""
    with platform.control.connect() as conn:
        stuck = tenants.list_all(conn, (TenantState.RESTORING, TenantState.MIGRATING))
    return sum(_reopen(platform, tenant) for tenant in stuck)


def undo_copies(platform: Platform, store: Store, now: datetime) -> int:
    """Remove keys and receipts of clones, and of restores as a new tenant, that were killed a day ago."""
    return sum(_remove_traces(platform, store, entry) for entry in traces.left(platform, now - GRACE))


def drop_retired(platform: Platform, now: datetime) -> int:
    """Drop the databases that restores have replaced, after their date."""
    with platform.control.connect() as conn:
        retired = placements.in_state(conn, PlacementState.RETIRED, PlacementState.DROPPING)
    due = [placement for placement in retired if placement.drop_after and placement.drop_after < now]
    return sum(_drop(platform, placement) for placement in due)


def remove_service_files(platform: Platform, now: datetime) -> int:
    """Remove the folders with a service file that killed processes have left in the run folder."""
    folders = [path for path in platform.settings.run_dir.glob(f"{SERVICE_FOLDER}*") if path.is_dir()]
    old = [path for path in folders if now.timestamp() - path.stat().st_mtime > GRACE.total_seconds()]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)


def end_throw_away_servers(platform: Platform) -> int:
    """Stop and remove the servers in which killed processes proved backups: they hold customers' rows in the open."""
    server = EmbeddedServer(platform.settings)
    with exclusive(server.start_lock):
        before = len(instances(server))
        sweep(server)
        return before - len(instances(server))


def _finish_erasure(platform: Platform, one: Erasure) -> bool:
    with held(platform, f"tenant:{one.tenant_id}") as interrupted:
        pass
    if not interrupted:  # somebody is at it
        return False
    try:
        erase(platform, one.tenant_id, one.operator)
    except _FAILURES as error:
        _logger.warning("The erasure of %s is not finished: %s", one.tenant_id, error)
        return False
    return True


def _reopen(platform: Platform, stuck: Tenant) -> bool:
    try:
        with tenant_lock(platform, stuck.id):
            switch.go_back(platform, stuck.id, switch.state_before(platform, stuck.id))
    except BusyError:  # its restore or move is still at work
        return False
    except _FAILURES as error:
        _logger.warning("The workspace “%s” stays %s for now: %s", stuck.slug, stuck.state, error)
        return False
    return True


def _is_left_over(placement: Placement, everyone: dict[str, Tenant], now: datetime) -> bool:
    """A restore's database that was never switched to: not the one a new workspace is being set up in."""
    if placement.spare or now - placement.created_at < GRACE:
        return False
    if placement.tenant_id is None:
        return True
    owner = everyone.get(placement.tenant_id)
    return owner is not None and owner.placement_id not in (None, placement.id)


def _drop(platform: Platform, placement: Placement) -> bool:
    try:
        with undisturbed(platform, placement.id):
            drop_placement(platform, placement.id)
    except _FAILURES as error:
        _logger.warning("The database %s is kept for now: %s", placement.database, error)
        return False
    return True


def _remove_traces(platform: Platform, store: Store, entry: AuditEntry) -> bool:
    try:
        return traces.remove(platform, store, entry)
    except _FAILURES as error:
        _logger.warning("What the copy %s has left is kept for now: %s", entry.tenant_id, error)
        return False
