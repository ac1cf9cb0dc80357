"""Backup runs: take and verify, one tenant or many side by side."""

import time
from collections.abc import Callable, Collection, Generator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import psycopg
from sqlalchemy.exc import DBAPIError

from ..config.errors import FailedError, StrongroomError, VerificationError
from ..platform.control.platform import Platform
from ..platform.protection import queries as protection
from ..platform.protection.policy import policy_of
from ..platform.tenants import queries as tenants
from . import catalogue
from .candidates import candidates
from .copies import holding, making_store
from .copy_checks import Copy
from .due import Candidate, due
from .progress import Event, Progress, Steps, Watch, silent, watching
from .records import Backup, BackupState
from .scratch import ScratchPool
from .scrub import is_good_elsewhere, make_room
from .take import take_backup
from .unchanged import note_unchanged
from .verify import verify_backup

PARALLEL = 2
CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one tenant (None: the control database) in a run; exactly one of the last two is set."""

    tenant_id: str | None
    label: str
    backup: Backup | None
    error: StrongroomError | None


def run_backup(platform: Platform, tenant_id: str | None, *, force: bool = False) -> Backup:
    """Back up one tenant (None: the control database) and verify the backup; return its entry.

    The entry is `verified`, or `unchanged` when nothing was written since the last verified one (`force`: dump all the
    same). Raises `NotFoundError`, `RefusedError`, `FailedError`, `VerificationError`; the entry then says why.
    """
    (outcome,) = run_many(platform, [tenant_id], force=force)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.backup is not None
    return outcome.backup


def run_many(
    platform: Platform,
    tenant_ids: Sequence[str | None],
    *,
    parallel: int = PARALLEL,
    force: bool = False,
    progress: Progress = silent,
    scratch: ScratchPool | None = None,
) -> list[Outcome]:
    """Back up and verify several tenants, `parallel` at a time, with one scratch instance for all of them.

    One tenant's failure stops no other. Outcomes come in the order of `tenant_ids`; `progress` is called from several
    threads. `scratch` is used, and left running, where the caller has one.
    """
    began, labels, wanted = time.monotonic(), _labels(platform), list(dict.fromkeys(tenant_ids))
    outcomes: dict[str | None, Outcome] = {}

    def end(outcome: Outcome) -> None:
        outcomes[outcome.tenant_id] = outcome
        progress(_done(outcome, outcomes.values(), len(wanted), time.monotonic() - began))

    for found in () if force else _unchanged(platform, wanted, labels).values():
        end(found)
    with _scratch(platform, scratch) as provers, ThreadPoolExecutor(max(1, parallel), "backup") as pool:
        steps = partial(_begin_step, progress, len(wanted), outcomes)
        running = {
            pool.submit(
                _run_one,
                platform,
                provers,
                tenant_id,
                force=force,
                steps=partial(steps, _label(labels, tenant_id)),
            ): tenant_id
            for tenant_id in wanted
            if tenant_id not in outcomes
        }
        for done in as_completed(running):
            end(Outcome(running[done], _label(labels, running[done]), *done.result()))
    return [outcomes[tenant_id] for tenant_id in wanted]


def run_due(platform: Platform, *, parallel: int = PARALLEL, progress: Progress = silent) -> list[Outcome]:
    """Back up whatever is due now, the control database last."""
    return _control_last(platform, due_now(platform), parallel=parallel, progress=progress)


def run_all(
    platform: Platform, *, parallel: int = PARALLEL, force: bool = False, progress: Progress = silent
) -> list[Outcome]:
    """Back up every tenant that has a database, and then the control database."""
    everything = [candidate.tenant_id for candidate in _candidates(platform, datetime.now(UTC))]
    return _control_last(platform, everything, parallel=parallel, force=force, progress=progress)


def due_now(platform: Platform) -> list[str | None]:
    """Return the tenants (None: the control database) whose backup is due, the longest unprotected first."""
    now = datetime.now(UTC)
    return due(_candidates(platform, now), now)


def list_backups(
    platform: Platform, slug: str | None = None, limit: int = 1000, before: str | None = None
) -> list[Backup]:
    """Return `limit` entries of the catalogue, newest first, of one tenant or of everything.

    `before`: only those that began before the backup of this id. Raises `NotFoundError`.
    """
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id if slug else None
        return catalogue.listing(conn, tenant_id, limit, catalogue.by_id(conn, before) if before else None)


def show_backup(platform: Platform, backup_id: str) -> Backup:
    """Return one entry of the catalogue. Raises `NotFoundError`."""
    with platform.control.connect() as conn:
        return catalogue.by_id(conn, backup_id)


def verify_one(platform: Platform, backup_id: str, *, scratch: ScratchPool | None = None) -> Backup:
    """Verify a stored backup again. Raises `NotFoundError`, `RefusedError`, `VerificationError`, `FailedError`."""
    backup = show_backup(platform, backup_id)
    with _scratch(platform, scratch) as pool:
        return _verify(platform, pool, backup)


def verify_all(
    platform: Platform,
    states: Sequence[BackupState] = (BackupState.STORED, BackupState.VERIFIED),
    *,
    progress: Progress = silent,
) -> list[Outcome]:
    """Verify every backup that is in one of `states` by a restore, oldest first, one at a time."""
    with platform.control.connect() as conn:
        backups = catalogue.in_states(conn, states)
    if not backups:
        return []
    outcomes: list[Outcome] = []
    with closing(ScratchPool(platform.settings)) as scratch:
        for number, backup in enumerate(backups, 1):
            result = _caught(partial(_verify, platform, scratch, backup))
            outcomes.append(Outcome(backup.tenant_id, backup.label, *result))
            progress(Event(backup.label, _word(outcomes[-1]), number, len(backups)))
    return outcomes


def _unchanged(
    platform: Platform, tenant_ids: Sequence[str | None], labels: dict[str | None, str]
) -> dict[str | None, Outcome]:
    """Be done with the workspaces that one look at each server shows to be unchanged."""
    noted = note_unchanged(platform, [tenant_id for tenant_id in tenant_ids if tenant_id is not None])
    if not noted:
        return {}
    with platform.control.connect() as conn:
        entries = catalogue.by_ids(conn, list(noted.values()))
    return {
        entry.tenant_id: Outcome(entry.tenant_id, labels.get(entry.tenant_id, entry.label), entry, None)
        for entry in entries
    }


def _control_last(
    platform: Platform,
    wanted: Sequence[str | None],
    *,
    parallel: int,
    progress: Progress,
    force: bool = False,
) -> list[Outcome]:
    """Back up the tenants among `wanted`, then the control database, if it is: its copy so knows of their backups."""
    if not wanted:
        return []
    with closing(ScratchPool(platform.settings)) as scratch:
        tenant_ids = [tenant_id for tenant_id in wanted if tenant_id is not None]
        run = partial(run_many, platform, parallel=parallel, force=force, progress=progress, scratch=scratch)
        return run(tenant_ids) + (run([None]) if None in wanted else [])


def _candidates(platform: Platform, now: datetime) -> list[Candidate]:
    settings = platform.settings
    with platform.control.connect() as conn:
        return candidates(conn, protection.policies(conn, settings), policy_of(settings), now)


def _label(labels: dict[str | None, str], tenant_id: str | None) -> str:
    return labels.get(tenant_id, tenant_id or CONTROL)


def _begin_step(progress: Progress, total: int, outcomes: Sized, label: str, step: str, size: int | None) -> Watch:
    return watching(progress, Event(label, step, len(outcomes), total, size=size))


def _done(outcome: Outcome, outcomes: Collection[Outcome], total: int, seconds: float) -> Event:
    """What to say when one of `total` has ended, `seconds` after the first began."""
    number = len(outcomes)
    moved = sum(one.backup.size or 0 for one in outcomes if one.backup)
    left = seconds / number * (total - number)
    return Event(outcome.label, _word(outcome), number, total, moved, None, seconds, left)


def _verify(platform: Platform, scratch: ScratchPool, backup: Backup) -> Backup:
    """Verify a backup where it lies; when that copy is bad, in the next store that has it."""
    error = VerificationError(f"No store has the backup {backup.id}.")
    for _ in platform.settings.backup_stores:
        store = holding(platform, backup)
        try:
            return verify_backup(platform, store, scratch, backup)
        except VerificationError as bad:
            error = bad
        copy = Copy(backup, store.name)
        if not is_good_elsewhere(platform, copy):
            break
        make_room(platform, copy)
    raise error


def _run_one(
    platform: Platform, scratch: ScratchPool, tenant_id: str | None, *, force: bool, steps: Steps
) -> tuple[Backup | None, StrongroomError | None]:
    def run() -> Backup:
        store = making_store(platform, tenant_id)
        backup = take_backup(platform, store, tenant_id, force=force, steps=steps)
        return verify_backup(platform, store, scratch, backup, steps) if backup.state is BackupState.STORED else backup

    return _caught(run)


def _caught(work: Callable[[], Backup]) -> tuple[Backup | None, StrongroomError | None]:
    try:
        return work(), None
    except StrongroomError as error:
        return None, error
    except (psycopg.Error, DBAPIError, OSError) as error:
        return None, FailedError(f"The backup could not be finished: {str(error).splitlines()[0]}.")


@contextmanager
def _scratch(platform: Platform, running: ScratchPool | None) -> Generator[ScratchPool]:
    if running is not None:
        yield running
        return
    with closing(ScratchPool(platform.settings)) as pool:
        yield pool


def _labels(platform: Platform) -> dict[str | None, str]:
    with platform.control.connect() as conn:
        return {tenant.id: tenant.slug for tenant in tenants.list_all(conn)}


def _word(outcome: Outcome) -> str:
    return outcome.backup.state.value if outcome.backup else f"failed: {outcome.error}"
