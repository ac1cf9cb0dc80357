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
# Never stored as they are typed, and never to be changed: a password may well be a number.
_KEPT: Final = ("password", "csrf_token", "credential")


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
    return value if any(word in name for word in _KEPT) else mask(value)
