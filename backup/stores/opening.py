"""Which stores an installation uses."""

from ...config.errors import NotFoundError, RefusedError
from ...config.settings import Settings
from ...config.stores import StoreSettings
from .contract import Store
from .local import LocalStore


def open_store(settings: Settings, name: str | None = None) -> Store:
    """Return a backup store of this installation: the one of that name, else the one in which backups are made.

    Raises `NotFoundError`, or `RefusedError` when it would share a root with the data, links followed: a copy beside
    the original is none.
    """
    return _open(settings, described(settings, name))


def described(settings: Settings, name: str | None = None) -> StoreSettings:
    """Return what the settings say about a store. Raises `NotFoundError`."""
    found = [store for store in settings.backup_stores if name in (None, store.name)]
    if not found:
        raise NotFoundError(f"There is no backup store “{name}”; `strongroom store list` shows them.")
    return found[0]


def _open(settings: Settings, store: StoreSettings) -> Store:
    root, home = store.folder.resolve(), settings.home.resolve()
    if root.is_relative_to(home) or home.is_relative_to(root):
        raise RefusedError(f"The backup store {root} and the data {home} must not contain each other.")
    return LocalStore(store.folder / "store")
