"""A real SMTP server that does what a test tells it, and a platform that sends its mail there."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from strongroom.config.settings import Settings
from strongroom.platform.control.platform import Platform
from strongroom.platform.mail import delivery
from strongroom.platform.web.tls import ensure_certificates, tls_files

OK = "250 OK"
USER, PASSWORD = "postmaster", "correct horse"


@dataclass
class PostOffice:
    """What the server has taken, and how it answers. An answer of “drop” ends the connection without one."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list[EmailMessage])
    recipients: list[str] = field(default_factory=list[str])
    raw: list[bytes] = field(default_factory=list[bytes])
    sender_answers: list[str] = field(default_factory=list[str])
    recipient_answers: list[str] = field(default_factory=list[str])
    content_answers: list[str] = field(default_factory=list[str])
    secure: list[bool] = field(default_factory=list[bool])
    sessions: set[int] = field(default_factory=set[int])
    before_recipient: Callable[[], object] = lambda: None
    before_content: Callable[[], object] = lambda: None

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802
        self.sessions.add(id(session))
        self.secure.append(session.ssl is not None or _is_tls(server))
        answer = _next(self.sender_answers)
        envelope.mail_from = address
        return await _answered(server, answer)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        self.before_recipient()
        answer = _next(self.recipient_answers)
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return await _answered(server, answer)

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = _next(self.content_answers)
        self.before_content()
        if answer in (OK, "drop"):  # dropped after it was taken: the sender cannot know
            content = envelope.content
            assert isinstance(content, bytes)
            self.raw.append(content)
            self.taken.append(message_from_bytes(content, EmailMessage, policy=policy.default))
            self.recipients += envelope.rcpt_tos
        return await _answered(server, answer)


def _next(answers: list[str]) -> str:
    return answers.pop(0) if answers else OK


async def _answered(server: SMTP, answer: str) -> str:
    if answer == "drop":
        assert server.transport is not None
        server.transport.close()
        return OK
    if answer == "silence":
        await asyncio.sleep(30)
    return answer


def _is_tls(server: SMTP) -> bool:
    return server.transport is not None and server.transport.get_extra_info("sslcontext") is not None


def check_login(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


OpenOffice = Callable[..., PostOffice]


class AnyPort(Controller):
    """Where port 0 was asked for, the library's own probe would ask port 0."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]  # pyright: ignore[reportAttributeAccessIssue]  # asyncio's
        socket.create_connection((self.hostname, self.port), 5).close()


@pytest.fixture
def open_office(settings: Settings) -> Generator[OpenOffice]:
    """Open a server: `open_office(security="tls")`, by default with STARTTLS and a certificate for localhost."""
    ensure_certificates(settings)
    files = tls_files(settings)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.server)
    with ExitStack() as stack:

        def start(security: str = "starttls", port: int = 0, **options: Any) -> PostOffice:
            office = PostOffice()
            options.setdefault("enable_SMTPUTF8", False)
            if options.pop("login", False):
                options |= {"authenticator": check_login, "auth_required": True}
            if security != "none":
                options["ssl_context" if security == "tls" else "tls_context"] = context
            controller = AnyPort(office, hostname="127.0.0.1", port=port, ready_timeout=20, **options)
            controller.start()
            stack.callback(controller.stop)
            office.port = controller.port
            return office

        yield start


@pytest.fixture(autouse=True)
def brake_off() -> Generator[None]:
    """No test waits for what another found."""
    delivery.brake.release()
    yield
    delivery.brake.release()


@pytest.fixture
def to_office(platform: Platform) -> Callable[..., Platform]:
    """The shared platform, sending its mail to an office: `to_office(office, smtp_user=…)`."""

    def sending(office: PostOffice, **changed: Any) -> Platform:
        authority = str(tls_files(platform.settings).authority)
        wanted = {"smtp_host": "localhost", "smtp_port": office.port, "smtp_authority": authority} | changed
        return replace(platform, settings=replace(platform.settings, **wanted))

    return sending
