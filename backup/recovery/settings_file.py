"""Sees to it that the settings of the new home name the store that it is recovered from."""

import json
from dataclasses import replace
from pathlib import Path

from ...config.errors import CallError, FailedError, RefusedError
from ...config.settings import SETTINGS_FILE, Settings, load_settings, names_stores
from ...config.stores import StoreSettings
from ...config.template import TEMPLATE
from ...platform.keys import durable
from .place import label, named

_SECRETS = "secrets"


def keep_settings(settings: Settings, store: StoreSettings) -> Settings:
    """Add the store to the settings file of the home, unless it is there; return the settings. Idempotent.

    A file that the operator put there stays as it is otherwise. Raises `RefusedError` if it names other stores only.
    """
    if named(settings, store) is not None:
        return settings
    path = settings.home / SETTINGS_FILE
    text = path.read_text(encoding="utf-8") if path.exists() else TEMPLATE
    if names_stores(settings.home):
        where = ", ".join(map(label, settings.backup_stores))
        raise RefusedError(f"{path} says that backups lie in {where}; recover from there, or correct it.")
    durable.replace(path, f"{text.rstrip()}\n\n{_lines(settings.home, store)}".encode())
    return load_settings(settings.home)


def _lines(home: Path, store: StoreSettings) -> str:
    if store.scheme == "file" and not store.keys_url:
        return f"backup_root = {_text(str(store.folder))}  # recovered from there\n"
    entry = replace(store, credentials=_own_credentials(home, store))
    values = {"name": entry.name, "url": entry.url, "keys_url": entry.keys_url, "endpoint": entry.endpoint}
    if entry.credentials:
        values["credentials"] = str(entry.credentials.relative_to(home))
    lines = [f"{key} = {_text(value)}" for key, value in values.items() if value]
    return "\n".join(["[[backup_store]]  # recovered from there", *lines]) + "\n"


def _own_credentials(home: Path, store: StoreSettings) -> Path | None:
    """Copy the credentials into the home (mode 0600): the file that was named may lie on a stick."""
    if store.credentials is None:
        return None
    path = home / _SECRETS / f"{store.name}.toml"
    try:
        content = store.credentials.read_bytes()
    except OSError as error:
        raise FailedError(f"The credentials {store.credentials} cannot be read: {error.strerror}.") from error
    if store.credentials != path:
        durable.make_folder(path.parent)
        durable.replace(path, content)
    return path


def _text(value: str) -> str:
    """A string of TOML, whose escapes are those of JSON."""
    if "\x7f" in value:
        raise CallError("The name of the store holds a control character.")
    return json.dumps(value)
