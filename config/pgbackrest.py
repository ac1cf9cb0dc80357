"""Which servers pgBackRest keeps the archive of, as the settings say it: one `[[pgbackrest]]` table for each."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CallError

CONFIG = Path("/etc/pgbackrest/pgbackrest.conf")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_FIELDS = ("server", "stanza", "config")
_SHAPE = "Archives of pgBackRest are written as tables: a line [[pgbackrest]], then server and stanza."


@dataclass(frozen=True, slots=True)
class Stanza:
    """pgBackRest's word for the archive of one server. `config` is the file that leads to its repository."""

    server: str  # its name with us
    stanza: str
    config: Path = CONFIG


def read_stanzas(home: Path, tables: object) -> tuple[Stanza, ...]:
    """Return what the `[[pgbackrest]]` tables say; paths are relative to `home`. Raises `CallError`."""
    if not isinstance(tables, list):
        raise CallError(_SHAPE)
    stanzas = tuple(_read(home, table) for table in tables)  # pyright: ignore[reportUnknownVariableType]  # TOML
    if len({one.server for one in stanzas}) < len(stanzas):
        raise CallError("Two [[pgbackrest]] tables name the same server.")
    return stanzas


def _read(home: Path, table: Any) -> Stanza:
    if not isinstance(table, dict):
        raise CallError(_SHAPE)
    values: dict[str, Any] = dict(table)  # pyright: ignore[reportUnknownArgumentType]  # TOML
    for key, value in values.items():
        if key not in _FIELDS:
            raise CallError(f"A [[pgbackrest]] table has no setting “{key}”; it has: {', '.join(_FIELDS)}.")
        if not isinstance(value, str):
            raise CallError(f"The setting “{key}” of a [[pgbackrest]] table cannot be {value!r}.")
    if "server" not in values or not _NAME.fullmatch(values.get("stanza", "")):
        raise CallError("A [[pgbackrest]] table needs the name of a server and that of a stanza.")
    config = home / Path(values["config"]).expanduser() if "config" in values else CONFIG
    return Stanza(values["server"], values["stanza"], config)
