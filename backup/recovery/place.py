"""Where a recovery reads from: the folder or address that `--from` names."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from ...config.errors import CallError, NotFoundError, RefusedError
from ...config.settings import Settings
from ...config.stores import LOCAL, SCHEMES, StoreSettings, folder_of, read_stores
from ..stores.separation import BACKUPS, keys_url

_RECOVERED = "recovered"  # name of a store that no settings named yet


def read_place(
    settings: Settings,
    source: str,
    keys: str | None = None,
    credentials: Path | None = None,
    endpoint: str | None = None,
) -> StoreSettings:
    """Return what `--from` and its companions describe: a folder, an address, or a store that the settings name.

    What the settings of the home say about that store counts where the command line says nothing. Raises `CallError`
    for an address of no known kind, `NotFoundError` for a folder without backups.
    """
    by_name = [one for one in settings.backup_store if one.name == source and not Path(source).exists()]
    url, name = (by_name[0].url, source) if by_name else (_address(source), _new_name(source))
    table = {"name": name, "url": url, "keys_url": _address(keys) if keys else "", "endpoint": endpoint or ""}
    if credentials:
        table["credentials"] = str(credentials.expanduser().absolute())
    (store,) = read_stores(settings.home, [table])
    if store.scheme == "file":
        _require_backups(store.folder)
    known = named(settings, store)
    return _completed(store, known) if known else store


def named(settings: Settings, store: StoreSettings) -> StoreSettings | None:
    """Return what the settings call this store; None if they do not know it."""
    return next((one for one in settings.backup_stores if same_place(one, store)), None)


def same_place(one: StoreSettings, other: StoreSettings) -> bool:
    """Say whether both describe the same store, links followed."""
    if one.scheme == other.scheme == "file":
        return one.folder.resolve() == other.folder.resolve()
    return one.url.rstrip("/") == other.url.rstrip("/")


def label(store: StoreSettings, *, keys: bool = False) -> str:
    """Return what a person calls the store, or the place of its key copies."""
    url = keys_url(store) if keys else store.url
    return str(folder_of(url)) if urlsplit(url).scheme == "file" else url


def refuse_inside(home: Path, store: StoreSettings) -> None:
    """Raise `RefusedError` when home and backups contain each other."""
    if store.scheme == "file":
        root, home = store.folder.resolve(), home.resolve()
        if root.is_relative_to(home) or home.is_relative_to(root):
            raise RefusedError(f"The backups {root} and the new home {home} must not contain each other.")


def _completed(store: StoreSettings, known: StoreSettings) -> StoreSettings:
    return replace(
        known,
        keys_url=store.keys_url or known.keys_url,
        endpoint=store.endpoint or known.endpoint,
        credentials=store.credentials or known.credentials,
    )


def _new_name(source: str) -> str:
    return _RECOVERED if _is_address(source) else LOCAL


def _is_address(text: str) -> bool:
    return urlsplit(text).scheme in SCHEMES


def _address(text: str) -> str:
    if _is_address(text):
        return text
    if "://" in text:
        raise CallError(f"“{text[:80]}” is no folder, and no address that begins with one of {', '.join(SCHEMES)}.")
    return Path(text).expanduser().absolute().as_uri()


def _require_backups(root: Path) -> None:
    if not root.is_dir():
        raise NotFoundError(f"There is no folder {root}; --from names the folder in which “store” and “keys” lie.")
    if not (root / BACKUPS).is_dir():
        above = f" Name the folder above it: {root.parent}" if root.name == BACKUPS else ""
        raise NotFoundError(f"{root} holds no backups: there is no folder “store” in it.{above}")
