"""The account's objects in all backup stores: dumps, descriptors, copies of receipts, and what was left unfinished."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from ...config.errors import FailedError, NotFoundError, RefusedError, StrongroomError
from ...config.stores import StoreSettings
from ...platform.control.platform import Platform
from ...platform.keys.blobs import open_blobs
from .. import names
from ..header import timestamp
from ..stores.contract import Store, StoredObject
from ..stores.opening import open_store
from . import queries
from .records import Document
from .work import Work

_logger = logging.getLogger(__name__)


def delete_copies(work: Work) -> None:
    """Delete everything that the stores hold of the account.

    Where object lock forbids it, the object is listed with the date until which it is locked: unreadable, for want of
    its key. Raises `FailedError` when a store does not answer or keeps an object that is not locked.
    """
    with work.platform.control.connect() as conn:
        catalogue = queries.backups_of(conn, work.tenant.id)
        given_to = queries.stores_of(conn, work.tenant.id)
    configured = work.platform.settings.backup_stores
    for settings in configured:
        store = open_store(work.platform.settings, settings.name)
        remover = open_store(work.platform.settings, settings.name, pruning=True)
        _delete_in(work, settings, store, remover, catalogue)
    known = {settings.name for settings in configured}
    work.note("lost_stores", {name: {} for name in given_to if name not in known})


def clear_again(platform: Platform, tenant_id: str) -> int:
    """Delete what turned up in the stores since an erasure; return how many objects. A store that is away: later."""
    places = [partial(_clear_store, platform, tenant_id, one) for one in platform.settings.backup_stores]
    return sum(map(_tried, (*places, partial(_clear_receipts, platform, tenant_id))))


def _tried(clear: Callable[[], int]) -> int:
    try:
        return clear()
    except StrongroomError as error:
        _logger.warning("What erased accounts have left is not looked for now: %s", error)
        return 0


def _clear_store(platform: Platform, tenant_id: str, settings: StoreSettings) -> int:
    store = open_store(platform.settings, settings.name, pruning=True)
    free = [one for one in store.list(names.folder(tenant_id)) if _locked_until(settings, one) is None]
    unfinished = list(_unfinished(store, tenant_id))
    return sum(store.delete(one.name) for one in free) + sum(store.delete_abandoned(one.name) for one in unfinished)


def _clear_receipts(platform: Platform, tenant_id: str) -> int:
    """Remove a receipt whose upload was under way: its request found no database to write the row into."""
    blobs = open_blobs(platform.settings)
    left = list(blobs.list(tenant_id))
    for one in left:
        blobs.delete(one.name)
    return len(left)


def _delete_in(
    work: Work, settings: StoreSettings, store: Store, remover: Store, catalogue: dict[str, Document]
) -> None:
    folder = names.folder(work.tenant.id)
    found, unfinished = list(store.list(folder)), list(_unfinished(store, work.tenant.id))
    known: Document = work.detail.get("objects", {}).get(settings.name, {})
    facts = {one.name: _facts(store, settings, one, catalogue) for one in found if one.name not in known}
    facts |= {one.name: {"bytes": one.size, "kind": "unfinished"} for one in unfinished}
    work.note("objects", {settings.name: facts})
    for one in unfinished:
        remover.delete_abandoned(one.name)
    for one in found:
        locked = _locked_until(settings, one) is not None
        with suppress(*((FailedError, RefusedError) if locked else ())):  # a lock forbids it, or only hides the object
            remover.delete(one.name)
    left = [one for one in store.list(folder) if _locked_until(settings, one) is None]
    if left:
        raise FailedError(
            f"The store “{settings.name}” still has {len(left)} objects of the account after deleting them."
        )


def _unfinished(store: Store, tenant_id: str) -> Iterator[StoredObject]:
    folder = names.folder(tenant_id) + "/"
    return (one for one in store.abandoned() if folder in one.name)


def _facts(store: Store, settings: StoreSettings, one: StoredObject, catalogue: dict[str, Document]) -> Document:
    facts: Document = {"bytes": one.size, "stored_at": timestamp(one.modified), "kind": _kind(one.name)}
    known = catalogue.get(one.name, {})
    facts |= {"sha256": known.get("sha256") or _sha256(store, one.name)}
    if "backup" in known:
        facts["backup"] = known["backup"]
    if until := _locked_until(settings, one):
        facts["locked_until"] = timestamp(until)
    return facts


def _kind(name: str) -> str:
    if "/receipts/" in name:
        return "receipt"
    return "dump" if name.endswith(".age") else "descriptor" if name.endswith(".json") else "other"


def _sha256(store: Store, name: str) -> str | None:
    """Return an object's hash: a receipt is named by it, a dump that no entry names is too large to be read for it."""
    if "/receipts/" in name:
        return name.rpartition("/")[2]
    if not name.endswith(".json"):
        return None
    try:
        with store.open(name) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except NotFoundError:
        return None


def _locked_until(settings: StoreSettings, one: StoredObject) -> datetime | None:
    """Return until when nobody can remove the object; None: it can be removed now."""
    until = one.modified + timedelta(days=settings.lock_days)
    return until if settings.lock_days and until > datetime.now(UTC) else None
