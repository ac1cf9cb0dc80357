"""Ends what nothing inside the window needs any more: first the keys, so that it cannot be read, then the objects."""

import logging
from datetime import UTC, datetime, timedelta

from ...config.errors import StrongroomError
from ...platform.control.platform import Platform
from ...platform.servers import bases
from ...platform.servers.bases import BaseBackup
from .. import keycopies
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
        for base in over.bases:
            bases.mark_expired(conn, base.id)
    for day in over.days:
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


def _destroy_key(platform: Platform, day: str) -> None:
    """The copies in the stores first: as long as one is left, the next time finds the key and tries again."""
    try:
        keycopies.destroy(platform, "archive", day)
    except StrongroomError as error:
        _logger.warning("The key of %s of the log archive is not destroyed everywhere yet: %s", day, error)
        return
    platform.keys.destroy_archive(day)


def _remove_objects(platform: Platform, store_name: str) -> int:
    """Remove base backups that are not to be had any more, and the log of the days that have no key."""
    days = set(platform.keys.archive_days())
    with platform.control.connect() as conn:
        known = {base.id for state in (bases.STORED, bases.RUNNING) for base in bases.in_state(conn, state)}
    try:
        store = archive_store(platform.settings, store_name, pruning=True)
        dead = [found.name for found in store.list(names.ROOT) if _is_dead(found.name, days, known)]
        return sum(map(store.delete, dead))
    except StrongroomError as error:
        _logger.warning("What the log archive in %s holds too long is kept for now: %s", store_name, error)
        return 0


def _is_dead(name: str, days: set[str], known: set[str]) -> bool:
    _, _, _, kind, folder, _ = name.split("/")
    return folder not in (days if kind == "wal" else known)


def _remove(platform: Platform, base: BaseBackup) -> None:
    try:
        store = archive_store(platform.settings, base.store, pruning=True)
        remove_base(store, names.base_folder(base.server, base.system_id or "", base.id))
    except StrongroomError as error:
        _logger.warning("What the base backup %s has left is kept for now: %s", base.id, error)
