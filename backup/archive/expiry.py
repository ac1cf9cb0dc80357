"""Ends what nothing inside the window needs any more: first the keys, so that it cannot be read, then the objects."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ...config.errors import StrongroomError
from ...platform.control.platform import Platform
from ...platform.servers import bases
from ...platform.servers.bases import BaseBackup
from .. import keycopies
from ..erasure import queries as erasures
from . import names
from .base import remove_base
from .places import archive_store
from .window import expired, key_dies_at

_logger = logging.getLogger(__name__)


def expire(platform: Platform, now: datetime | None = None) -> int:
    """Destroy the keys of the days that have had their time, and remove their objects; return how many objects.

    Killed anywhere it goes on at the next call: an object whose day has no key is removed whenever it is found.
    """
    now, keys = now or datetime.now(UTC), platform.keys
    with platform.control.begin() as conn:
        alive = [*bases.in_state(conn, bases.STORED), *bases.in_state(conn, bases.RUNNING)]
        over = expired(alive, keys.archive_days(), platform.settings.point_in_time_days, now)
        dead = {*over.days, *_promised(erasures.promises(conn), keys.archive_days(), now)}
        for base in alive:
            if base in over.bases or base.archive_key in dead:
                bases.mark_expired(conn, base.id)
    for day in sorted(dead):
        _destroy_key(platform, day)
    return sum(_remove_objects(platform, store.name) for store in platform.settings.backup_stores)


def give_up_lost(platform: Platform, now: datetime) -> int:
    """Mark base backups as failed whose process shows no sign of life, and remove what they have stored."""
    with platform.control.begin() as conn:
        lost = bases.lost(conn, now)
        for base in lost:
            bases.mark_failed(conn, base.id, "The process that made it ended in the middle of it.", now)
    for base in lost:
        _remove(platform, base)
    return len(lost)


def last_log_key_expiry(platform: Platform, moment: datetime) -> datetime | None:
    """Return when the last key is destroyed that could open base backups or log of what was written until `moment`.

    None where no log is archived. A day later than `moment`'s own: a piece of the log that is ended after midnight
    holds what was written before.
    """
    days = platform.settings.point_in_time_days
    if days == 0 and not platform.keys.archive_days():
        return None
    return key_dies_at(names.day_of(moment + timedelta(days=1)), days)


def _promised(promises: Sequence[tuple[datetime, datetime]], days: Sequence[str], now: datetime) -> set[str]:
    """Return the days whose keys a certificate calls destroyed by now, whatever the window has become since."""
    due = [names.day_of(signed + timedelta(days=1)) for signed, until in promises if until <= now]
    return {day for day in days if any(day <= last for last in due)}


def _destroy_key(platform: Platform, day: str) -> None:
    """The key store's own first, so that no renewal brings a copy back; a store that is away loses its copy later."""
    platform.keys.destroy_archive(day)
    try:
        keycopies.destroy(platform, "archive", day)
    except StrongroomError as error:
        _logger.warning("A copy of the key of %s of the log archive is not destroyed yet: %s", day, error)


def _remove_objects(platform: Platform, store_name: str) -> int:
    """Remove base backups that are not to be had any more, and the log of the days that have no key."""
    try:
        store = archive_store(platform.settings, store_name, pruning=True)
        # First the objects: what began meanwhile has its key and its row before its first object.
        there = [found.name for found in store.list(names.ROOT)]
        days = set(platform.keys.archive_days())
        with platform.control.connect() as conn:
            known = {base.id for state in (bases.STORED, bases.RUNNING) for base in bases.in_state(conn, state)}
        return sum(store.delete(name) for name in there if _is_dead(name, days, known))
    except StrongroomError as error:
        _logger.warning("What the log archive in %s holds too long is kept for now: %s", store_name, error)
        return 0


def _is_dead(name: str, days: set[str], known: set[str]) -> bool:
    parts = name.split("/")
    return len(parts) == 6 and parts[4] not in (days if parts[3] == "wal" else known)


def _remove(platform: Platform, base: BaseBackup) -> None:
    try:
        store = archive_store(platform.settings, base.store, pruning=True)
        remove_base(store, names.base_folder(base.server, base.system_id or "", base.id))
    except StrongroomError as error:
        _logger.warning("What the base backup %s has left is kept for now: %s", base.id, error)
