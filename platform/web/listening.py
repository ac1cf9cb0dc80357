"""Looking at listeners from outside: is a port free, does somebody answer there, and with which certificate?"""

import socket
import ssl

from ...config.errors import FailedError
from ...config.settings import Settings
from .tls import tls_files

_END = "-----END CERTIFICATE-----"
WITH_OPTION = ("https_port", "http_port", "metrics_port")  # settings that a command's option can replace


def check_port(host: str, port: int, setting: str) -> None:
    """Raise `FailedError` when `port` is taken. Granian itself shares a port (SO_REUSEPORT) and would not notice."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    option = f"--{setting.replace('_', '-')} or " if setting in WITH_OPTION else ""
    other = f"choose another with {option}{setting} in strongroom.toml"
    with socket.socket(family, socket.SOCK_STREAM) as caller:
        caller.settimeout(2)
        if caller.connect_ex((host, port)) == 0:
            raise FailedError(f"Port {port} on {host} is taken by another program: {other}.")
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As granian binds: connections of a run that has just ended do not count.
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            probe.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise FailedError(f"Port {port} needs more rights than this user has: {other} above 1023.") from error
        except OSError as error:
            raise FailedError(f"Port {port} on {host} cannot be used ({error.strerror}): {other}.") from error


def answers_https(settings: Settings, seconds: float = 2.0) -> bool:
    """Whether somebody, the portal or the proxy, serves with a certificate that this home's authority has signed.

    With an operator's own certificate: with any, because that one may just be changing.
    """
    return _served(settings, settings.https_port, seconds) is not None


def answers_cdn(settings: Settings, seconds: float = 2.0) -> bool:
    """Whether the portal listens for the CDN."""
    return _served(settings, settings.cdn_port, seconds) is not None


def serves_newest(settings: Settings, seconds: float = 2.0) -> bool:
    """Whether the certificate served on `https_port` is the newest: a proxy has to be told that there is a new one."""
    newest = tls_files(settings).server.read_text(encoding="ascii").partition(_END)[0] + _END
    return _served(settings, settings.https_port, seconds) == ssl.PEM_cert_to_DER_cert(newest)


def answers_proxy(settings: Settings, index: int, seconds: float = 2.0) -> bool:
    """Whether web process `index` lets in who shows the proxy's certificate."""
    files = tls_files(settings)
    try:
        context = ssl.create_default_context(cafile=str(files.authority))
        context.load_cert_chain(files.proxy)
        return _handshake(context, settings, settings.worker_ports[index], seconds) is not None
    except OSError:
        return False


def _served(settings: Settings, port: int, seconds: float) -> bytes | None:
    try:
        return _handshake(_context(settings), settings, port, seconds)
    except OSError:  # not listening, no authority yet, or somebody else's server
        return None


def _context(settings: Settings) -> ssl.SSLContext:
    if not settings.own_certificate:
        return ssl.create_default_context(cafile=str(tls_files(settings).authority))
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # its authority is the operator's, and this machine need not know it
    return context


def _handshake(context: ssl.SSLContext, settings: Settings, port: int, seconds: float) -> bytes | None:
    with (
        socket.create_connection((settings.bind_host, port), seconds) as plain,
        context.wrap_socket(plain, server_hostname=settings.base_domain) as secure,
    ):
        return secure.getpeercert(binary_form=True)
