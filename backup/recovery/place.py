"""Where a recovery reads from: the folder or address that `--from` names."""

from pathlib import Path
from urllib.parse import urlsplit

from ...config.errors import CallError, NotFoundError, RefusedError
from ...config.stores import LOCAL, SCHEMES, StoreSettings, read_stores

_RECOVERED = "recovered"  # name of a store that no settings named yet


def read_place(home: Path, source: str, keys: str | None = None, credentials: Path | None = None) -> StoreSettings:
    """Return what `--from`, `--keys` and `--credentials` describe: folders, or addresses as the settings write them.

    Raises `CallError` for an address of no known kind, `NotFoundError` for a folder without backups.
    """
    url, name = _address(source), _RECOVERED if _is_address(source) else LOCAL
    table = {"name": name, "url": url} | ({"keys_url": _address(keys)} if keys else {})
    if credentials:
        table["credentials"] = str(credentials.expanduser().absolute())
    (store,) = read_stores(home, [table])
    if store.scheme == "file":
        _require_backups(store.folder)
    return store


def same_place(one: StoreSettings, other: StoreSettings) -> bool:
    """Say whether both describe the same store, links followed."""
    if one.scheme == other.scheme == "file":
        return one.folder.resolve() == other.folder.resolve()
    return one.url.rstrip("/") == other.url.rstrip("/")


def label(store: StoreSettings, *, keys: bool = False) -> str:
    """Return what a person calls the store, or the place of its key copies."""
    url = store.keys_url if keys and store.keys_url else store.url
    return urlsplit(url).path if urlsplit(url).scheme == "file" else url


def refuse_inside(home: Path, store: StoreSettings) -> None:
    """Raise `RefusedError` when home and backups contain each other."""
    if store.scheme == "file":
        root, home = store.folder.resolve(), home.resolve()
        if root.is_relative_to(home) or home.is_relative_to(root):
            raise RefusedError(f"The backups {root} and the new home {home} must not contain each other.")


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
    if not (root / "store").is_dir():
        above = f" Name the folder above it: {root.parent}" if root.name == "store" else ""
        raise NotFoundError(f"{root} holds no backups: there is no folder “store” in it.{above}")
