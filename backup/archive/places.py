"""Which backup store the archive of the log lies in."""

from ...config.settings import Settings
from ..stores.contract import Store
from ..stores.opening import open_store, stores_for


def archive_store_name(settings: Settings) -> str:
    """Return the name of the store that the embedded server's base backups and log are written to.

    It is the one in which backups of the embedded server's region are made.
    """
    return stores_for(settings, settings.region)[0].name


def archive_store(settings: Settings, name: str | None = None, *, pruning: bool = False) -> Store:
    """Return that store, or the one of that name, in which an older base backup lies; `pruning`: to remove from it."""
    return open_store(settings, name or archive_store_name(settings), pruning=pruning)
