"""Reading the letters that were written to files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from ....config.errors import NotFoundError
from ....config.mail import is_loopback
from ....config.settings import Settings

NEWEST: Final = 50
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """A letter as it was written. `html` is None where it has none."""

    name: str
    recipient: str
    sender: str
    subject: str
    written_at: datetime | None
    text: str
    html: str | None


def is_shown(settings: Settings) -> bool:
    """Whether this installation shows its mail: only where nobody but this machine can reach it, and mail goes nowhere.

    A proxy or a CDN in front answers for others, and a name that is looked up may be one that others call.
    """
    is_reached = settings.worker_port_base or settings.cdn_port
    is_own = settings.base_domain == "localhost" or settings.base_domain.endswith(".localhost")
    goes_nowhere = not (settings.smtp_host or settings.production)
    return goes_nowhere and is_own and not is_reached and is_loopback(settings.bind_host)


def newest(settings: Settings) -> list[ReadLetter]:
    """The newest letters, the newest first; a file that is no letter is left out."""
    paths = sorted(_files(settings.outbox_dir), reverse=True)[:NEWEST]
    return [letter for _, path in paths if (letter := _read(path)) is not None]


def find(settings: Settings, name: str) -> ReadLetter:
    """One letter. Raises `NotFoundError`."""
    letter = _read(settings.outbox_dir / f"{name}.eml") if _NAME.fullmatch(name) else None
    if letter is None:
        raise NotFoundError("There is no such letter in the outbox.")
    return letter


def _files(folder: Path) -> Iterator[tuple[float, Path]]:
    for path in folder.glob("*.eml"):
        try:
            yield path.stat().st_mtime, path
        except FileNotFoundError:  # a letter of somebody who is being forgotten
            continue


def _read(path: Path) -> ReadLetter | None:
    try:
        message = message_from_bytes(path.read_bytes(), EmailMessage, policy=policy.default)
        text = _part(message, "plain") or ""
        html = _part(message, "html")
        date = getattr(message["Date"], "datetime", None)
    except (OSError, LookupError, ValueError):
        return None
    sender, recipient, subject = (str(message[name] or "") for name in ("From", "To", "Subject"))
    return ReadLetter(path.stem, recipient, sender, subject, date, text, html)


def _part(message: EmailMessage, kind: str) -> str | None:
    body = message.get_body((kind,))  # pyright: ignore[reportArgumentType]  # one of the three that it takes
    return None if body is None else str(body.get_content())
