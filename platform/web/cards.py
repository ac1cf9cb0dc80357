"""No card number gets past a form: every field is masked before any view reads it, and the person is told.

What is not a form (files, the API, the command line) is masked where it is read.
"""

from typing import IO, Any, Final

from flask import flash, session
from flask.sessions import NullSession
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import FormDataParser

from ..cards.masking import mask

MASKED: Final = "We masked what looks like a card number: only its last four digits are kept."
# Of use only as they are, and not kept in the clear: a webhook's address, what a passkey says, and where to go on to.
_EXACT: Final = frozenset({"url", "credential", "csrf_token", "kept", "next", "back"})


class MaskingParser(FormDataParser):
    """Werkzeug's parser of forms, without card numbers in what it finds."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        """What was sent. Flashes `MASKED` where something was masked."""
        rest, form, files = super().parse(stream, mimetype, content_length, options)
        found = [(name, value) for name, value in form.items(multi=True)]
        masked = [(name, _masked(name, value)) for name, value in found]
        if masked == found:
            return rest, form, files
        if not isinstance(session, NullSession):  # a program has no page to be told on
            flash(MASKED, "warning")
        kept: Any = self.cls
        return rest, kept(masked), files


def _masked(name: str, value: str) -> str:
    """Every field that has “password” in its name stays, too: it is hashed, and may well be a number."""
    return value if name in _EXACT or "password" in name else mask(value)
