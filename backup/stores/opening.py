"""Which stores an installation uses, and how each is entered."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from ...config.errors import NotFoundError, RefusedError
from ...config.settings import Settings
from ...config.stores import StoreSettings, folder_of
from .contract import Store
from .credentials import Credentials, read_credentials
from .local import LocalStore
from .separation import BACKUPS, check_keys_url, check_lock, check_separate, keys_url


@dataclass(frozen=True, slots=True)
class Place:
    """One opened place for backups: they themselves, and the wrapped copies of the keys."""

    backups: Store
    keys: Store


def open_store(settings: Settings, name: str | None = None, *, pruning: bool = False) -> Store:
    """Return a backup store of this installation: the one of that name, else the one in which backups are made.

    `pruning`: with the credential that may delete, where it is another one. Raises `NotFoundError`, `CallError` for
    wrong credentials, or `RefusedError` when it would share a root with the data, links followed: a copy beside the
    original is none.
    """
    return _opened(settings, name, pruning).backups


def open_keys(settings: Settings, name: str | None = None, *, pruning: bool = False) -> Store:
    """Return the place of a store's key copies. Raises as `open_store` does."""
    return _opened(settings, name, pruning).keys


def described(settings: Settings, name: str | None = None) -> StoreSettings:
    """Return what the settings say about a store. Raises `NotFoundError`."""
    found = [store for store in settings.backup_stores if name in (None, store.name)]
    if not found:
        raise NotFoundError(f"There is no backup store “{name}”; `strongroom store list` shows them.")
    return found[0]


def stores_for(settings: Settings, region: str | None) -> list[StoreSettings]:
    """Return the stores that take workspaces of `region`; in the first one backups are made. None: all stores.

    Raises `RefusedError` if none does: data stay in their region, and so do their copies.
    """
    found = [store for store in settings.backup_stores if region is None or store.region in ("", region)]
    if not found:
        raise RefusedError(
            f"No backup store takes workspaces of the region “{region}”; add a [[backup_store]] of that region."
        )
    return found


def open_place(store: StoreSettings, *, pruning: bool = False) -> Place:
    """Open a store, be it of these settings or of none. Nothing is asked of it yet."""
    check_keys_url(store)
    check_lock(store)
    path = (store.prune_credentials if pruning else None) or store.credentials
    return _open(store, path, _stamp(path))


def _opened(settings: Settings, name: str | None, pruning: bool) -> Place:
    store = described(settings, name)
    check_separate(settings, store)
    return open_place(store, pruning=pruning)


def _stamp(path: Path | None) -> tuple[int, int]:
    """Return what changes when the file of credentials does."""
    try:
        status = (path or Path()).stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


@lru_cache(64)
def _open(store: StoreSettings, path: Path | None, stamp: tuple[int, int]) -> Place:
    """Open a store once: its connections serve all jobs of this process until its credentials change."""
    del stamp
    if store.scheme == "file":
        return _local(store)
    return _KINDS[store.scheme](store, read_credentials(store, path))


def _local(store: StoreSettings) -> Place:
    keys = LocalStore(folder_of(keys_url(store)), store.name)
    return Place(LocalStore(store.folder / BACKUPS, store.name), keys)


def _s3(store: StoreSettings, credentials: Credentials) -> Place:
    from .objects import Patience
    from .s3 import Access, Bucket

    access = Access(store, credentials, Patience())
    first, second = (Bucket.of(access, url).store() for url in _urls(store))
    return Place(first, second)


def _google(store: StoreSettings, credentials: Credentials) -> Place:
    from .clouds import StreamedUploads, google_objects
    from .objects import BucketStore, Patience

    places = [google_objects(url, credentials, Patience()) for url in _urls(store)]
    first, second = (BucketStore(store.name, place, StreamedUploads(store.name, place)) for place in places)
    return Place(first, second)


def _azure(store: StoreSettings, credentials: Credentials) -> Place:
    from .clouds import StreamedUploads, azure_objects
    from .objects import BucketStore, Patience

    places = [azure_objects(store, url, credentials, Patience()) for url in _urls(store)]
    first, second = (BucketStore(store.name, place, StreamedUploads(store.name, place)) for place in places)
    return Place(first, second)


def _sftp(store: StoreSettings, credentials: Credentials) -> Place:
    from .objects import Patience
    from .sftp import SftpStore
    from .ssh import login_to

    login = login_to(store, credentials, Patience())
    first, second = (SftpStore(store.name, login, urlsplit(url).path) for url in _urls(store))
    return Place(first, second)


def _urls(store: StoreSettings) -> tuple[str, str]:
    return f"{store.url.rstrip('/')}/{BACKUPS}", keys_url(store)


_KINDS: dict[str, Callable[[StoreSettings, Credentials], Place]] = {
    "s3": _s3,
    "gs": _google,
    "az": _azure,
    "sftp": _sftp,
}
