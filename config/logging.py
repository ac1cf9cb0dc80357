"""Log lines on standard error, with secrets and personal data taken out of the finished text.

Redaction works on what is about to be written, traceback included, so that no call can forget it. It is the last net:
code that handles a secret does not log it in the first place.
"""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

REDACTED = "[redacted]"
# Loud at INFO about what our own lines already say.
_QUIET = ("alembic", "procrastinate", "granian", "_granian", "urllib3", "PIL", "fontTools")

_VALUE = r"""(?:b?"(?:\\.|[^"\\])*"|b?'(?:\\.|[^'\\])*'|[^\s&;,)\]}"']+)"""
_NAMES = (
    r"[\w-]*(?:password|passwd|passphrase|pepper|secret|token|otp|recovery[_-]codes?|credential|verifier|"
    r"(?:api|secret|signing|private|master|data|blind|client|server|wrapping)[_-]key)(?![\w-]*[_-]id\b)[\w-]*"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, flags, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL, REDACTED),
        (r"AGE-SECRET-KEY-1[0-9A-Z]+", re.IGNORECASE, REDACTED),
        (r"\b(?:srt|whsec)_[0-9A-Za-z+/=_-]{20,}", 0, REDACTED),  # tokens of the API, secrets of webhooks
        (r"strongroom-master-key-\d+ \S+", 0, REDACTED),
        (r"SCRAM-SHA-256\$\S+", 0, REDACTED),
        (r"(?:sr\d+)?\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}", 0, REDACTED),
        # a whole header line: several cookies, or scheme and credentials, belong to it
        (r"\b((?:set-)?cookie|(?:proxy-)?authorization)([\"']?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE, rf"\1\2{REDACTED}"),
        # scheme://user:password@host, the password may contain a slash
        (r"(?<=://)([^\s:/@]*):[^\s@]+@", 0, rf"\1:{REDACTED}@"),
        (rf"\b({_NAMES})([\"']?\s*[:=]\s*){_VALUE}", re.IGNORECASE, rf"\1\2{REDACTED}"),
        # a 256-bit token as the segment of a path: invitation and reset links
        (r"(?<=/)[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])", 0, REDACTED),
        # what PostgreSQL and SQLAlchemy say about a row: it is a customer's
        (r"(Failing row contains )\(.*\)", 0, rf"\1({REDACTED})"),
        (r"(Key \([^)]*\)=)\(.*?\)(?= )", 0, rf"\1({REDACTED})"),
        (r"\[parameters: .*", 0, f"[parameters: {REDACTED}]"),
    )
)


def redact(text: str) -> str:
    """`text` without passwords, tokens, keys, cookies, connection passwords and the values of database rows."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


class RedactingFormatter(logging.Formatter):
    """One line per record (plus its traceback), time in RFC 3339 with offset, nothing secret in it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Local time with offset; `datefmt` is not used."""
        del datefmt
        return datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line; control characters are escaped, so that input cannot forge a second line."""
        return re.sub(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]", _escape, super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The line and, where there is one, the traceback."""
        return redact(super().format(record))


def configure_logging(verbose: bool = False, stream: TextIO | None = None) -> None:
    """Send all log records, redacted, to `stream` (default: standard error), warnings of libraries included.

    `verbose` lowers the level from INFO to DEBUG and lets the libraries' own INFO through. A second call replaces the
    first one's handler.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(RedactingFormatter())
    root = logging.getLogger()
    for earlier in [h for h in root.handlers if isinstance(h.formatter, RedactingFormatter)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)
    logging.captureWarnings(True)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
