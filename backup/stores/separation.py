"""Backups lie apart from what they protect: pure checks of what the settings say about stores."""

from urllib.parse import urlsplit

from ...config.errors import RefusedError
from ...config.settings import Settings
from ...config.stores import StoreSettings, folder_of

BACKUPS, KEYS = "store", "keys"  # folders below the root of a store
_LOCKABLE = ("s3", "gs", "az")


def keys_url(store: StoreSettings) -> str:
    """Return where the key copies of a store lie."""
    return store.keys_url or f"{store.url.rstrip('/')}/{KEYS}"


def check_separate(settings: Settings, store: StoreSettings) -> None:
    """Raise `RefusedError` when a store shares a place with the data, with the receipts or with another store."""
    for url in (store.url, keys_url(store)):
        _check_home(settings, url)
        if settings.receipts_url and _overlap(url, settings.receipts_url):
            raise RefusedError(f"The backup store “{store.name}” must not share a place with receipts_url.")
    for other in settings.backup_stores:
        if other.name != store.name and other.endpoint == store.endpoint and _overlap(store.url, other.url):
            raise RefusedError(f"The backup stores “{store.name}” and “{other.name}” must not contain each other.")


def check_lock(store: StoreSettings) -> None:
    """Raise `RefusedError` when key copies would come under object lock: an erasure must be able to remove them."""
    if not store.lock_days:
        return
    if store.scheme not in _LOCKABLE:
        raise RefusedError(f"The backup store “{store.name}” has no object lock; remove lock_days.")
    if not store.keys_url or urlsplit(store.keys_url).netloc == urlsplit(store.url).netloc:
        raise RefusedError(
            f"The backup store “{store.name}” has lock_days, so its key copies need another bucket, without lock and "
            "versions: set keys_url."
        )


def check_keys_url(store: StoreSettings) -> None:
    """Raise `RefusedError` when the key copies would lie in another kind of store, which has other credentials."""
    if store.keys_url and urlsplit(store.keys_url).scheme != store.scheme:
        raise RefusedError(f"keys_url of the backup store “{store.name}” must begin with {store.scheme}://.")
    if store.scheme == "sftp" and store.keys_url and urlsplit(store.keys_url).netloc != urlsplit(store.url).netloc:
        raise RefusedError(f"keys_url of the backup store “{store.name}” must be on the same host, as the same user.")


def _check_home(settings: Settings, url: str) -> None:
    if urlsplit(url).scheme != "file":
        return
    root, home = folder_of(url).resolve(), settings.home.resolve()
    if root.is_relative_to(home) or home.is_relative_to(root):
        raise RefusedError(f"The backup store {root} and the data {home} must not contain each other.")


def _overlap(one: str, other: str) -> bool:
    first, second = _place(one), _place(other)
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]


def _place(url: str) -> tuple[str, ...]:
    """Return scheme, host or bucket, and folders; of local folders with links followed."""
    parts = urlsplit(url)
    path = str(folder_of(url).resolve()) if parts.scheme == "file" else parts.path
    host = parts.hostname or "" if parts.scheme == "sftp" else parts.netloc
    return (parts.scheme, host, *filter(None, path.split("/")))
