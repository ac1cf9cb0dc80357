"""Brings the workspaces back, most recently active first, several side by side; one that fails stops no other."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError

from ...config.errors import NotFoundError, StrongroomError, VerificationError
from ...platform.control.platform import Platform
from ...platform.tenants import queries as tenants
from ...platform.tenants.records import Tenant
from ...provisioning.placements import drop_placement
from .. import catalogue
from ..copies import holding
from ..copy_checks import Copy, mark_bad
from ..erasure.erase import erase
from ..header import timestamp
from ..records import Backup, BackupState
from ..restore import Restored, restore
from ..subject import identity_of
from ..verify import check_receipt, read_descriptor, read_dump
from . import queries
from .fates import Fate, Known, fate_of
from .journal import Journal
from .leftovers import Databases, is_there
from .watching import Watch

_RESTORABLE = (BackupState.VERIFIED, BackupState.STORED)
_KEPT = "its database on the server “{}” was not lost and stays as it is"
_PENDING = "it had no database yet; the worker goes on making it"
_ERASED = "it had been erased before the loss; nothing of it can be read"
_NO_KEYS = "its keys are not among the copies: nothing of it can be opened without them"
_WAITING = "left out by --only; the same command without it brings it back"
_NONE = "there is no backup of it in the store"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A workspace to bring back, with its good backups, the newest first, and until when the newest one holds good."""

    tenant: Tenant
    backups: tuple[Backup, ...]
    until: dict[str, datetime]

    @property
    def newest(self) -> datetime:
        """When it was last backed up."""
        return self.as_of(self.backups[0]) if self.backups else datetime.min.replace(tzinfo=UTC)

    def as_of(self, backup: Backup) -> datetime:
        """Until when everything that was entered is in this backup."""
        return max(backup.started_at, self.until.get(backup.id, backup.started_at))


def decide(
    platform: Platform, journal: Journal, there: Databases, only: Collection[str], operator: str
) -> list[Wanted]:
    """Record the fate of every workspace that is not to be restored; return the others in their order.

    Raises `NotFoundError` if there is no workspace of a name in `only`.
    """
    with platform.control.connect() as conn:
        everyone = tenants.list_all(conn)
        until = queries.unchanged_until(conn)
    _require_known(only, everyone)
    with_keys, buried = set(platform.keys.tenant_ids()), platform.keys.buried()
    wanted: list[Wanted] = []
    for tenant in everyone:
        known = Known(tenant, tenant.id in buried, tenant.id in with_keys, is_there(tenant, there))
        fate = fate_of(known, only)
        if fate is Fate.RESTORED:
            wanted.append(Wanted(tenant, _good_backups(platform, tenant.id), until))
        elif fate is Fate.ERASED:
            _record(journal, tenant, fate, note=_keep_erased(platform, tenant, operator))
        elif fate is not Fate.KEPT or not _is_done(journal, tenant):
            _record(journal, tenant, fate, note=_note(fate, tenant))
    return sorted(wanted, key=lambda one: one.newest, reverse=True)


def bring_back(
    platform: Platform, journal: Journal, wanted: Sequence[Wanted], parallel: int, watch: Watch, operator: str
) -> None:
    """Restore them, `parallel` at a time, and record each outcome."""
    if not wanted:
        return
    with (
        watch.counting("Bringing workspaces back", len(wanted)) as advance,
        ThreadPoolExecutor(max(1, parallel), "recovery") as pool,
    ):
        running = {pool.submit(_bring_back, platform, journal, one, operator): one for one in wanted}
        for done in as_completed(running):
            done.result()
            one = running[done]
            row = journal.workspace(one.tenant.id)
            assert row is not None
            advance(f"{one.tenant.slug}: {row['state']}")


def _bring_back(platform: Platform, journal: Journal, one: Wanted, operator: str) -> None:
    """Restore the newest backup that proves good; say of the others that they are damaged."""
    damaged: list[str] = []
    error: Exception = NotFoundError(f"{_NONE}.")
    for backup in one.backups:
        try:
            done = restore_from_any_store(platform, one.tenant.slug, backup, operator)
        except (VerificationError, NotFoundError) as failure:
            error = failure
            damaged.append(f"its backup {backup.id} is damaged: {failure}")
        except (StrongroomError, psycopg.Error, DBAPIError, OSError) as failure:
            error = failure
            break
        else:
            _record_restored(platform, journal, one, done, damaged)
            return
    _record_failed(journal, one, error, damaged)


def restore_from_any_store(platform: Platform, slug: str, backup: Backup, operator: str) -> Restored:
    """Restore a backup from the first store whose copy proves good; the catalogue learns which copies are not.

    Raises what the last one gave.
    """
    while True:
        store = holding(platform, backup).name
        try:
            return restore(platform, slug, backup.id, operator=operator)
        except (VerificationError, NotFoundError) as failure:
            if not _is_bad_copy(platform, backup):
                raise
            with platform.control.begin() as conn:
                was_last = mark_bad(conn, Copy(backup, store), str(failure), datetime.now(UTC))
            if was_last:
                raise


def _is_bad_copy(platform: Platform, backup: Backup) -> bool:
    """Read the copy again: a gate that does not close, or a key that is missing, says nothing about it."""
    identity, store = identity_of(platform, backup.tenant_id), holding(platform, backup)
    try:
        descriptor = read_descriptor(store, backup, identity)
        read_dump(store, descriptor, identity, _Nowhere())
        for receipt in descriptor.receipts:
            check_receipt(store, backup, receipt.sha256)
    except (VerificationError, NotFoundError):
        return True
    return False


class _Nowhere:
    """Takes bytes and forgets them."""

    def write(self, data: bytes, /) -> int:
        return len(data)


def _record_restored(platform: Platform, journal: Journal, one: Wanted, done: Restored, damaged: list[str]) -> None:
    with platform.control.begin() as conn:
        catalogue.mark_verified(conn, done.backup.id, datetime.now(UTC))
    if done.retired:
        with suppress(StrongroomError, psycopg.Error):  # else the next run, or the clearing after a week
            drop_placement(platform, done.retired)
    _record(
        journal,
        one.tenant,
        Fate.RESTORED,
        note=_joined([*damaged, *_lost_receipts(done.backup)]),
        damaged=len(damaged),
        backup=done.backup.id,
        as_of=timestamp(one.as_of(done.backup)),
        rows=done.rows,
        receipts=done.receipts,
        seconds=round(done.seconds, 2),
    )


def _lost_receipts(backup: Backup) -> list[str]:
    count = backup.receipts_lost
    return [f"{count} receipts had been lost before this backup was made and are not in it."] if count else []


def _record_failed(journal: Journal, one: Wanted, error: Exception, damaged: list[str]) -> None:
    sentence = str(error) if isinstance(error, StrongroomError) else f"{str(error).splitlines()[0]}."
    failure = _joined(damaged) or sentence
    if not isinstance(error, VerificationError | NotFoundError):
        failure = _joined([*damaged, sentence])
    _record(journal, one.tenant, Fate.FAILED, note=failure, damaged=len(damaged), verification=bool(damaged))


def _record(journal: Journal, tenant: Tenant, state: Fate, **values: Any) -> None:
    nothing = dict.fromkeys(("backup", "as_of", "rows", "receipts", "seconds", "note"))
    row = {"slug": tenant.slug, "state": state.value, "damaged": 0, "verification": False}
    journal.set_workspace(tenant.id, row | nothing | values)


def _keep_erased(platform: Platform, tenant: Tenant, operator: str) -> str:
    """Let an account that was erased after the backup of the control database be erased, and give its note."""
    try:
        erase(platform, tenant.id, operator)
    except (StrongroomError, psycopg.Error, DBAPIError, OSError) as error:
        return f"{_ERASED}; the worker goes on removing what is left: {error}"
    return _ERASED


def _good_backups(platform: Platform, tenant_id: str) -> tuple[Backup, ...]:
    with platform.control.connect() as conn:
        return tuple(one for one in catalogue.listing(conn, tenant_id) if one.state in _RESTORABLE)


def _is_done(journal: Journal, tenant: Tenant) -> bool:
    row = journal.workspace(tenant.id)
    return row is not None and row["state"] == Fate.RESTORED


def _note(fate: Fate, tenant: Tenant) -> str:
    sentences = {
        Fate.KEPT: _KEPT.format(tenant.server),
        Fate.PENDING: _PENDING,
        Fate.ERASED: _ERASED,
        Fate.FAILED: _NO_KEYS,
        Fate.WAITING: _WAITING,
    }
    return sentences[fate]


def _joined(sentences: Sequence[str]) -> str | None:
    return " ".join(sentences) or None


def _require_known(only: Collection[str], everyone: Sequence[Tenant]) -> None:
    unknown = sorted(set(only) - {tenant.slug for tenant in everyone})
    if unknown:
        raise NotFoundError(f"There is no workspace “{unknown[0]}” in the backup of the control database.")
