"""A receiver of webhooks on the internet, as far as the sender can tell: real HTTPS under an authority of its own."""

import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from strongroom.platform.webhooks.destination import Resolver
from strongroom.platform.webhooks.sending import Sender

HOST = "hooks.customer.example"


@dataclass
class Received:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[BaseHTTPRequestHandler, Received], None]


def say(status: int, headers: dict[str, str] | None = None) -> Answer:
    """An answer of that status, without a body."""

    def answer(handler: BaseHTTPRequestHandler, _received: Received) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@dataclass
class Receiver:
    """What came, and how it is answered; `answer` may be changed between messages."""

    port: int
    authority: Path
    received: list[Received] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: say(204))

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}/inbox?from=strongroom"

    def sender(self, resolver: Resolver | None = None, seconds: float = 10.0) -> Sender:
        """A sender that trusts this receiver's authority, and finds it by its name."""
        trust = lambda: ssl.create_default_context(cafile=str(self.authority))  # noqa: E731
        return Sender(resolver or (lambda _host, _port: ["127.0.0.1"]), lambda _address: True, trust, seconds)


@contextmanager
def receiver(folder: Path, name: str = HOST) -> Generator[Receiver]:
    """Run one whose certificate is for `name`."""
    authority, own = _certificates(folder, name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    running = Receiver(server.server_port, authority)
    server.RequestHandlerClass = _handler(running)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a sender that hangs up is part of the tests
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()


def _handler(running: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 15

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            running.received.append(came)
            running.answer(self, came)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the overridden name
            pass

    return Handler


def _certificates(folder: Path, name: str) -> tuple[Path, Path]:
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    above = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Customers' authority")])
    plain = x509.BasicConstraints(ca=True, path_length=0)
    ca = _begun(above, above, root).add_extension(plain, critical=True).sign(root, hashes.SHA256())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
    made = _begun(subject, above, leaf).add_extension(names, critical=False).add_extension(issuer, critical=False)
    authority, own = folder / "authority.pem", folder / "receiver.pem"
    authority.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    key = leaf.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    own.write_bytes(key + made.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return authority, own


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
