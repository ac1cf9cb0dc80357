"""Wrapped copies of the key store beside the backups: without them no store is enough to recover from.

`<master id>/<kind>/<id>.json`, as the second copies of the key store itself, which are those of the store in
`backup_root`. They are never versioned and never locked: an erasure removes them.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select

from ..config.errors import FailedError, NotFoundError, StrongroomError
from ..config.settings import Settings
from ..config.stores import StoreSettings, folder_of
from ..platform.control.platform import Platform
from ..platform.control.tables import placement, tenant
from ..platform.keys import durable
from ..platform.keys.objects import read_private
from ..provisioning.locking import held
from .archive.window import key_dies_at
from .stores.contract import Store
from .stores.opening import described, open_keys
from .stores.separation import keys_url

_LOCK, _PATIENCE = "key copies", 120.0  # seconds
_CLOCKS = timedelta(minutes=10)  # by which those of a store and of this machine may differ
_DESTROYED = {
    "tenant": select(tenant.c.id).where(tenant.c.state == "erased"),
    "placement": select(placement.c.id).where(placement.c.state == "dropped"),
}

_logger = logging.getLogger(__name__)


def ensure(platform: Platform, tenant_id: str | None, store: str) -> None:
    """Have the keys that open a tenant's backups (None: those of the control database) in the store `store`.

    Raises `FailedError`, `NotFoundError`: no backup must be made there that nobody could open.
    """
    settings = platform.settings
    if is_own(settings, described(settings, store)):
        return
    place = open_keys(settings, store)
    for kind, name in [("platform", "platform")] + ([("tenant", tenant_id)] if tenant_id else []):
        _bring(platform, place, kind, name)


def publish(platform: Platform, kind: str, name: str) -> None:
    """Put one object of the key store into every store. Raises `FailedError`, `NotFoundError`."""
    for store in platform.settings.backup_stores:
        if not is_own(platform.settings, store):
            _bring(platform, open_keys(platform.settings, store.name), kind, name)


def sync(platform: Platform) -> int:
    """Have all keys, logins too, in every store, and no destroyed ones; return how many objects that changed.

    A store that does not answer is left for the next time, and so are all while somebody else is at it.
    """
    with held(platform, _LOCK) as mine:
        return _sync(platform) if mine else 0


def _sync(platform: Platform) -> int:
    changed = 0
    for store in platform.settings.backup_stores:
        if not is_own(platform.settings, store):
            try:
                changed += _sync_one(platform, store)
            except StrongroomError as error:
                _logger.warning("The key copies in %s are not renewed for now: %s", store.name, error)
    return changed


def destroy(platform: Platform, kind: str, name: str) -> list[str]:
    """Remove a key's copies from all stores; return the names of the objects that were there, with their stores.

    The key store itself has destroyed it before: whoever would bring its copy back is waited for. Raises `FailedError`
    after trying all, if one of them did not do it.
    """
    with held(platform, _LOCK, _PATIENCE) as mine:
        if not mine:
            raise FailedError("The key copies are being renewed for a long time; try again in a few minutes.")
        return _destroy(platform, kind, name)


def _destroy(platform: Platform, kind: str, name: str) -> list[str]:
    removed: list[str] = []
    failures: list[str] = []
    for store in platform.settings.backup_stores:
        if is_own(platform.settings, store):
            continue
        try:
            removed += _remove_all(open_keys(platform.settings, store.name, pruning=True), kind, name)
        except StrongroomError as error:
            failures.append(str(error))
    if failures:
        raise FailedError(failures[0])
    return removed


def is_own(settings: Settings, store: StoreSettings) -> bool:
    """Say whether the store's key copies are the key store's own second copies."""
    return store.scheme == "file" and folder_of(keys_url(store)).resolve() == settings.key_copies_dir.resolve()


def _bring(platform: Platform, place: Store, kind: str, name: str) -> None:
    try:
        content = read_private(platform.settings.keys_dir / kind / f"{name}.json")
    except FileNotFoundError:
        raise NotFoundError(f"The key store has no {kind} keys of that name: {name}.") from None
    _put(place, f"{platform.keys.master_id}/{kind}/{name}.json", content)


def _remove_all(place: Store, kind: str, name: str) -> list[str]:
    """Those of former master keys too: whoever still has one could open them."""
    wanted = f"/{kind}/{name}.json"
    found = [one.name for one in place.list() if one.name.endswith(wanted)]
    return [f"{place.name}: {one}" for one in found if place.delete(one)]


def _sync_one(platform: Platform, store: StoreSettings) -> int:
    place, master = open_keys(platform.settings, store.name), platform.keys.master_id
    there = {found.name: found.modified for found in place.list(master)}
    here = {f"{master}/{path.parent.name}/{path.name}": path for path in _documents(platform.settings.keys_dir)}
    changed = 0
    for name, path in here.items():
        try:
            if name not in there or _modified(path) > there[name] - _CLOCKS:
                changed += _put(place, name, read_private(path))
        except FileNotFoundError:  # destroyed meanwhile
            continue
    gone = set(there) - set(here) | {name for name, path in here.items() if not path.exists()}
    return changed + (_remove_destroyed(platform, store, gone) if gone else 0)


def _remove_destroyed(platform: Platform, store: StoreSettings, gone: set[str]) -> int:
    """Only what the control database calls destroyed: a key store that was lost must find its copies."""
    with platform.control.connect() as conn:
        dead = _dead(conn)
    place, days = open_keys(platform.settings, store.name, pruning=True), platform.settings.point_in_time_days
    now = datetime.now(UTC)
    return sum(place.delete(name) for name in gone if name.partition("/")[2] in dead or _is_over(name, days, now))


def _is_over(name: str, days: int, now: datetime) -> bool:
    """The key of a day of the log whose time has passed: its copy was left while the store was away."""
    _, kind, document = name.split("/")
    return kind == "archive" and key_dies_at(document.removesuffix(".json"), days) <= now


def _dead(conn: Connection) -> set[str]:
    return {f"{kind}/{name}.json" for kind, query in _DESTROYED.items() for name in conn.scalars(query)}


def _put(place: Store, name: str, content: bytes) -> bool:
    """Put a key's copy, unless it is there as it should be; return whether it was not."""
    try:
        with place.open(name) as file:
            if file.read() == content:
                return False
    except NotFoundError:
        pass  # the usual case
    place.replace(name, content)
    return True


def _documents(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*/*.json")) if not path.name.startswith(durable.TEMPORARY))


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
