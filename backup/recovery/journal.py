"""What a recovery has done so far, in the home: repeating the command goes on from here, and it is the report."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...config.errors import FailedError, RefusedError
from ...platform.keys import durable
from ..header import timestamp

FILE = "recovery.json"
FORMAT = 1
_OCCUPIED = ("initialised", "keys", "postgres", "receipts")  # of a home in which somebody lives


class Journal:
    """The document `recovery.json` of a home. Each change is durable on return; safe for several threads."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        """Use `begin`."""
        self._path = path
        self._document = document
        self._lock = threading.Lock()

    @classmethod
    def begin(cls, home: Path, source: str, master_id: str) -> "Journal":
        """Go on with the recovery that was begun in `home`, or begin one if the home is empty.

        Raises `RefusedError` for a home that holds an installation, or the recovery of another one.
        """
        document = read(home)
        if document is None:
            require_empty(home)
            document = {"format": FORMAT, "from": source, "master_key": master_id, "begun_at": _now()}
            document |= {"finished_at": None, "control": None, "notes": [], "catalogue": {}, "workspaces": {}}
        elif (document["from"], document["master_key"]) != (source, master_id):
            over = "" if document["control"] else " Nothing was recovered into it yet: it may be removed."
            raise RefusedError(
                f"In {home} the recovery from {document['from']} with the master key {document['master_key']} was "
                f"begun; repeat that command, or choose another home.{over}"
            )
        journal = cls(home / FILE, document)
        journal.change()
        return journal

    @property
    def control(self) -> dict[str, Any] | None:
        """Which backup of the control database is in place; None before one is."""
        return self._document["control"]

    @property
    def document(self) -> dict[str, Any]:
        """The whole report."""
        return self._document

    def change(self, **values: Any) -> None:
        """Set parts of the document."""
        with self._lock:
            self._document |= values
            self._write()

    def note(self, sentence: str) -> None:
        """Add a sentence that the operator must read."""
        with self._lock:
            if sentence not in self._document["notes"]:
                self._document["notes"].append(sentence)
                self._write()

    def workspace(self, tenant_id: str) -> dict[str, Any] | None:
        """Return what became of a workspace."""
        return self._document["workspaces"].get(tenant_id)

    def set_workspace(self, tenant_id: str, row: Mapping[str, Any]) -> None:
        """Record what became of a workspace."""
        with self._lock:
            self._document["workspaces"][tenant_id] = dict(row)
            self._write()

    def _write(self) -> None:
        content = json.dumps(self._document, indent=1, ensure_ascii=False).encode() + b"\n"
        durable.replace(self._path, content)


def read(home: Path) -> dict[str, Any] | None:
    """Return the document of a home, None where there is none. Raises `FailedError` if it cannot be read."""
    path = home / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FailedError(f"{path} cannot be read: {error}.") from error
    if document.get("format") != FORMAT:
        raise RefusedError(f"{path} was written by another version; go on with that one.")
    return document


def require_empty(home: Path) -> None:
    """Raise `RefusedError` if somebody lives in `home`; settings and credentials may lie there already."""
    found = [name for name in _OCCUPIED if (home / name).exists() or (home / name).is_symlink()]
    if found:
        raise RefusedError(
            f"{home} is not empty (it has {', '.join(found)}); recover into a new folder, which --home names."
        )


def _now() -> str:
    return timestamp(datetime.now(UTC))
