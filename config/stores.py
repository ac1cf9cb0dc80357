"""Where backups are kept, as the settings say it: one `[[backup_store]]` table for each place."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .errors import CallError

SCHEMES = ("file", "s3", "gs", "az", "sftp")
LOCAL = "local"  # name of the store of an installation whose settings name none
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One place for backups. Below its root lie `store/` (backups) and `keys/` (wrapped copies of the key store).

    Credentials are TOML files (mode 0600) whose keys depend on the kind of store; docs/operations.md lists them.
    """

    name: str
    url: (
        str  # file:///folder, s3://bucket/folder, gs://bucket/folder, az://container/folder, sftp://user@host:22/folder
    )
    region: str = ""  # takes the workspaces of this region only; empty: of all
    endpoint: str = ""  # of an S3 server that is not Amazon's
    credentials: Path | None = None  # what the backups are written and read with
    prune_credentials: Path | None = None  # what alone may delete; where there are none, the others are used
    keys_url: str = ""  # where the key copies lie instead of below the root: never versioned, never locked
    lock_days: int = 0  # object lock: how long nobody can remove an object

    @property
    def scheme(self) -> str:
        """Kind of store, one of `SCHEMES`."""
        return urlsplit(self.url).scheme

    @property
    def folder(self) -> Path:
        """Root of a local store."""
        return folder_of(self.url)


def folder_of(url: str) -> Path:
    """Return the folder that a file URL names."""
    return Path(unquote(urlsplit(url).path))


def local_store(root: Path) -> StoreSettings:
    """Return the store of an installation whose settings name none: a folder."""
    return StoreSettings(LOCAL, root.as_uri())


def read_stores(home: Path, tables: object) -> tuple[StoreSettings, ...]:
    """Return what the `[[backup_store]]` tables say, the first one is where backups are made.

    Paths of credentials are relative to `home`. Raises `CallError` that names the wrong line.
    """
    if not isinstance(tables, list):
        raise CallError("Backup stores are written as tables: a line [[backup_store]], then name and url.")
    stores = tuple(_read_store(home, table) for table in tables)  # pyright: ignore[reportUnknownVariableType]  # TOML
    for what in ("name", "url"):
        values = [getattr(store, what) for store in stores]
        if len(set(values)) < len(values):
            raise CallError(f"Two backup stores have the same {what}.")
    return stores


_TYPES: dict[str, type] = {field.name: int if field.name == "lock_days" else str for field in fields(StoreSettings)}


def _read_store(home: Path, table: Any) -> StoreSettings:
    if not isinstance(table, dict):
        raise CallError("Backup stores are written as tables: a line [[backup_store]], then name and url.")
    for key, value in table.items():  # pyright: ignore[reportUnknownVariableType]  # TOML
        if key not in _TYPES:
            raise CallError(f"A backup store has no setting “{key}”; it has: {', '.join(_TYPES)}.")
        if type(value) is not _TYPES[str(key)]:  # pyright: ignore[reportUnknownArgumentType]
            raise CallError(f"The setting “{key}” of a backup store cannot be {value!r}.")
    values: dict[str, Any] = dict(table)  # pyright: ignore[reportUnknownArgumentType]
    if "name" not in values or "url" not in values:
        raise CallError("A backup store needs a name and a url.")
    for key in ("credentials", "prune_credentials"):
        if key in values:
            values[key] = home / Path(values[key]).expanduser()
    store = StoreSettings(**values)
    _check(store)
    return store


def _check(store: StoreSettings) -> None:
    if not _NAME.fullmatch(store.name):
        raise CallError(
            f"“{store.name[:40]}” cannot be the name of a backup store: a letter, then letters, digits, “-”."
        )
    if store.scheme not in SCHEMES:
        raise CallError(f"The url of the backup store “{store.name}” must begin with one of {', '.join(SCHEMES)}.")
    if "@" in store.url and store.scheme != "sftp":
        raise CallError(f"The url of the backup store “{store.name}” must not hold a login; use `credentials`.")
    if urlsplit(store.url).password:
        raise CallError(
            f"The url of the backup store “{store.name}” must not hold a password; use a file of credentials."
        )
    if not 0 <= store.lock_days <= 3650:
        raise CallError(f"lock_days of the backup store “{store.name}” must lie between 0 and 3650.")
    if store.prune_credentials and store.prune_credentials == store.credentials:
        raise CallError(f"The backup store “{store.name}” needs prune_credentials of their own, or none.")
