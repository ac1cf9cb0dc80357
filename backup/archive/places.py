"""Which backup store the archive of the log lies in."""

from ...config.settings import Settings
from ..stores.contract import Store
from ..stores.opening import described, open_store


def archive_store_name(settings: Settings) -> str:
    """Return the name of the store that base backups and log are written to: the one where backups are made."""
    return described(settings).name


def archive_store(settings: Settings, name: str | None = None, *, pruning: bool = False) -> Store:
    """Return that store, or the one of that name, in which an older base backup lies; `pruning`: to remove from it."""
    return open_store(settings, name, pruning=pruning)
