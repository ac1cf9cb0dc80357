"""A message as it goes out: headers, the plain text, and HTML made from that text.

The same row gives the same bytes each time, so that a repeat is the same message, with the same Message-ID (RFC 5322).
"""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from ...config.settings import Settings
from .page import html_of

SENDER_NAME: Final = "Strongroom"  # never a word of a customer's: a workspace could call itself a bank
LONGEST_SUBJECT: Final = 200
_UNSEEN: Final = ("Cc", "Cf", "Cs")
_POLICY: Final = SMTP.clone(cte_type="7bit")  # any mail server passes it on


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be said, in clear text. `id` stays the same through all tries."""

    id: str
    recipient: str
    subject: str
    body: str
    written_at: datetime


def compose(letter: Letter, settings: Settings, *, html: bool = True) -> EmailMessage:
    """The message, its plain text first, its HTML second. Raises `ValueError` for a recipient that is no address."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(SENDER_NAME, addr_spec=settings.sender)
    message["To"] = _address(letter.recipient)
    message["Subject"] = one_line(letter.subject)
    message["Date"] = letter.written_at.astimezone(UTC)
    message["Message-ID"] = f"<{letter.id}@{settings.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday note answers
    message.set_content(letter.body, cte="quoted-printable")
    if html:
        message.add_alternative(html_of(letter.subject, letter.body, settings), subtype="html", cte="quoted-printable")
        message.set_boundary(f"=_{letter.id}")
    return message


def one_line(text: str) -> str:
    """`text` in one line: no control characters, none that turn the writing direction, as long as a subject may be."""
    kept = (char for char in text if char.isspace() or unicodedata.category(char) not in _UNSEEN)
    return " ".join("".join(kept).split())[:LONGEST_SUBJECT]


def _address(text: str) -> Address:
    """One address and nothing else: what looks like two is none."""
    local, at, domain = text.rpartition("@")
    if not at or any(char.isspace() or char in ',;<>"' for char in text):
        raise ValueError("not an address")
    return Address(username=local, domain=domain.encode("idna").decode("ascii"))
