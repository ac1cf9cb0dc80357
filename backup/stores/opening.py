"""Which store an installation uses."""

from ...config.errors import RefusedError
from ...config.settings import Settings
from .contract import Store
from .local import LocalStore


def open_store(settings: Settings) -> Store:
    """Return the backup store of this installation.

    Raises `RefusedError` when it would share a root with the data, links followed: a copy beside the original is none.
    """
    store, home = settings.backup_store.resolve(), settings.home.resolve()
    if store.is_relative_to(home) or home.is_relative_to(store):
        raise RefusedError(f"The backup store {store} and the data {home} must not contain each other.")
    return LocalStore(settings.backup_store)
