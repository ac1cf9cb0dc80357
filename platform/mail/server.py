"""The mail server, over SMTP with TLS (RFC 5321, 3207, 8314): one message at a time, and what became of it.

What a failure means is told by its class. Until the final dot the server has nothing and the message may be sent again;
after it only the server's answer says who is responsible, and without an answer nobody knows (RFC 1047).
"""

import re
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import truststore

from ...config.errors import FailedError, RefusedError
from ...config.settings import Settings
from ..keys.objects import read_private

SECONDS: Final = 30.0  # to connect, and for each answer
ACCEPT_SECONDS: Final = 600.0  # for the answer to the final dot: RFC 5321 section 4.5.3.2.6
_OK, _GO_ON, _CLOSING = 250, 354, 421
_ADDRESS: Final = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_ENHANCED: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b", re.ASCII)  # RFC 3463


class ServerAwayError(FailedError):
    """Raised when no message can be handed over just now: no answer, no trust, no login, a refused sender."""


class TryLaterError(FailedError):
    """Raised when the server will not have this message now (4xx)."""


class NeverError(FailedError):
    """Raised when the server will never have this message (5xx)."""


class UnknownOutcomeError(FailedError):
    """Raised when the server got the whole message and said nothing more: it may have it or not."""


class MailServer:
    """A connection to the mail server of the settings, made when the first message is handed over."""

    def __init__(self, settings: Settings, seconds: float = SECONDS, accept_seconds: float = ACCEPT_SECONDS) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self._seconds = seconds
        self._accept_seconds = accept_seconds
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take leave."""
        if self._smtp is not None and error is None:
            with suppress(smtplib.SMTPException, OSError):
                self._smtp.quit()
        self.close()

    def close(self) -> None:
        """Hang up; the next message opens another connection."""
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def send(self, message: EmailMessage, recipient: str, begin: Callable[[], bool] = lambda: True) -> bool:
        """Hand a message over; True once the server has answered for it.

        `begin` is called with everything sent but the final dot: what it writes down holds from the moment on in which
        the server may take the message. Where it says no, nothing is handed over, and the result is False. Raises one
        of the four errors above; `RefusedError` for a password file that others may read.
        """
        is_fresh = self._smtp is None
        try:
            return self._send(self._opened(), message, recipient, begin)
        except ServerAwayError:
            self.close()
            if is_fresh:
                raise
        try:  # servers hang up after some time, or some messages
            return self._send(self._opened(), message, recipient, begin)
        except ServerAwayError:
            self.close()
            raise

    def _send(self, smtp: smtplib.SMTP, message: EmailMessage, recipient: str, begin: Callable[[], bool]) -> bool:
        try:
            content = self._envelope(smtp, message, recipient)
            smtp.send(content)
        except (smtplib.SMTPException, OSError) as error:
            raise ServerAwayError(f"The mail server broke off: {_words(error)}.") from error
        try:
            may = begin()
        except BaseException:
            self.close()  # without the dot: the server forgets what it got
            raise
        if not may:
            self.close()
            return False
        self._end(smtp)
        return True

    def _envelope(self, smtp: smtplib.SMTP, message: EmailMessage, recipient: str) -> bytes:
        """Everything before the content, which is returned as it is to be sent."""
        local, _, domain = recipient.rpartition("@")
        address, unicode = f"{local}@{domain.encode('idna').decode('ascii')}", not recipient.isascii()
        options = ("SMTPUTF8", "BODY=8BITMIME") if unicode and not local.isascii() else ()
        if options and not smtp.has_extn("smtputf8"):
            raise NeverError("The mail server cannot write to addresses with letters beyond ASCII.")
        code, text = smtp.mail(self._settings.sender, options)
        if code != _OK:
            raise ServerAwayError(f"The mail server refuses our sender address ({_code(code, text)}).")
        _judge(smtp, smtp.rcpt(address), (_OK, 251), "the recipient")
        _judge(smtp, smtp.docmd("DATA"), (_GO_ON,), "the message")
        content = message.as_bytes(policy=SMTPUTF8) if options else message.as_bytes()
        return re.sub(rb"(?m)^\.", b"..", content)  # RFC 5321 section 4.5.2

    def _end(self, smtp: smtplib.SMTP) -> None:
        try:
            if smtp.sock is not None:
                smtp.sock.settimeout(self._accept_seconds)
            smtp.send(b".\r\n")
            code, text = smtp.getreply()
            if smtp.sock is not None:
                smtp.sock.settimeout(self._seconds)
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            raise UnknownOutcomeError(
                f"The mail server did not say whether it took the message: {_words(error)}."
            ) from error
        if not 200 <= code < 600:
            self.close()
            raise UnknownOutcomeError("The mail server did not say whether it took the message.")
        _judge(smtp, (code, text), range(200, 300), "the message")

    def _opened(self) -> smtplib.SMTP:
        if self._smtp is None:
            self._smtp = self._open()
        return self._smtp

    def _open(self) -> smtplib.SMTP:
        settings, context = self._settings, self._context()
        password = self._password()
        host = settings.smtp_host.strip("[]")
        where = f"{settings.smtp_host}:{settings.smtp_port}"
        smtp = None
        try:
            if settings.smtp_security == "tls":
                smtp = smtplib.SMTP_SSL(
                    host, settings.smtp_port, settings.base_domain, timeout=self._seconds, context=context
                )
            else:
                smtp = smtplib.SMTP(host, settings.smtp_port, settings.base_domain, timeout=self._seconds)
            smtp.ehlo_or_helo_if_needed()
            if settings.smtp_security == "starttls":
                _start_tls(smtp, context)
            if password is not None:
                smtp.login(settings.smtp_user, password)
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            if smtp is not None:
                smtp.close()
            raise ServerAwayError(f"The mail server {where} cannot be used: {_words(error)}.") from error
        return smtp

    def _context(self) -> ssl.SSLContext:
        """Certificate and name are checked, by the system's authorities or the one of the settings."""
        authority = self._settings.smtp_authority
        if authority:
            try:
                context = ssl.create_default_context(cafile=str(self._file(authority)))
            except (OSError, ssl.SSLError) as error:
                raise FailedError(
                    f"smtp_authority ({authority}) cannot be read as a PEM file of certificates."
                ) from error
        else:
            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996; servers of others are not all further
        return context

    def _password(self) -> str | None:
        name = self._settings.smtp_password_file
        if not name:
            return None
        try:
            password = read_private(self._file(name)).decode().rstrip("\r\n")
        except FileNotFoundError as error:
            raise FailedError(f"smtp_password_file ({name}) is not there.") from error
        except UnicodeDecodeError as error:
            raise FailedError(f"smtp_password_file ({name}) is not text in UTF-8.") from error
        if not password or "\n" in password:
            raise RefusedError(f"smtp_password_file ({name}) must hold the password in one line, nothing else.")
        return password

    def _file(self, name: str) -> Path:
        return self._settings.home / Path(name).expanduser()


def _start_tls(smtp: smtplib.SMTP, context: ssl.SSLContext) -> None:
    """Never without: whoever stands between could have taken the offer out."""
    if not smtp.has_extn("starttls"):
        raise smtplib.SMTPNotSupportedError("it offers no STARTTLS, and mail is not sent in the clear")
    code, text = smtp.starttls(context=context)
    if code != 220:  # RFC 3207
        raise smtplib.SMTPResponseException(code, text)
    smtp.ehlo_or_helo_if_needed()


def _judge(smtp: smtplib.SMTP, answer: tuple[int, bytes], good: tuple[int, ...] | range, what: str) -> None:
    """Raise what an answer about one message means. Its words stay out: they may name the recipient."""
    code, text = answer
    if code in good:
        return
    said = f"The mail server refuses {what} ({_code(code, text)})."
    if code == _CLOSING:
        smtp.close()
        raise TryLaterError(said)
    with suppress(smtplib.SMTPException, OSError):
        smtp.rset()
    if 500 <= code < 600:  # RFC 5321 section 4.2.1
        raise NeverError(said)
    raise TryLaterError(said)


def _code(code: int, text: bytes) -> str:
    found = _ENHANCED.match(text.decode("ascii", "replace"))
    return f"{code} {found[1]}" if found else str(code)


def _words(error: Exception) -> str:
    """What went wrong in one line, without addresses."""
    if isinstance(error, smtplib.SMTPResponseException):
        raw = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        words = f"{error.smtp_code} {raw}"
    elif isinstance(error, ssl.SSLCertVerificationError):
        words = f"its certificate does not prove who it is ({error.verify_message})"
    elif isinstance(error, UnicodeError):
        words = "user name or password have letters beyond ASCII, which its login does not take"
    elif isinstance(error, TimeoutError):
        words = "no answer in time"
    else:
        words = str(error) or type(error).__name__
    plain = "".join(char if char.isprintable() else " " for char in words)
    return " ".join(_ADDRESS.sub("[address]", plain).split()).rstrip(".")[:200]
