"""What a home remembers of its demo (`demo.json`, mode 0600): the password, and the workspaces once all are there."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ...config.errors import FailedError
from ...config.settings import Settings
from .source import Source


@dataclass(frozen=True, slots=True)
class DemoNote:
    """`workspaces` (slugs, in order) is empty until the demo is complete."""

    password: str = field(repr=False)
    origin: str = ""
    notice: str = ""
    workspaces: tuple[str, ...] = ()


def read_note(settings: Settings) -> DemoNote | None:
    """The note of this home; `None` where no demo was asked for. Raises `FailedError` if it cannot be read."""
    path = _path(settings)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return DemoNote(
            str(values["password"]), str(values["origin"]), str(values["notice"]), tuple(values["workspaces"])
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FailedError(f"{path} cannot be read; remove it to get a new demo password.") from error


def begin_note(settings: Settings) -> DemoNote:
    """The note of this home, with a new random password where there is none. It is on disk before it is used."""
    found = read_note(settings)
    if found is None:
        found = DemoNote("-".join(secrets.token_hex(2) for _ in range(4)))
        _write(settings, found)
    return found


def complete_note(settings: Settings, note: DemoNote, source: Source, workspaces: list[str]) -> DemoNote:
    """Remember that all workspaces are there."""
    done = replace(note, origin=source.origin, notice=source.notice, workspaces=tuple(workspaces))
    _write(settings, done)
    return done


def _write(settings: Settings, note: DemoNote) -> None:
    path = _path(settings)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(note), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _path(settings: Settings) -> Path:
    return settings.home / "demo.json"
