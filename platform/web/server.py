"""The two listeners: HTTPS with TLS 1.3 only, and plain HTTP that redirects. Both are granian, a few processes each."""

import atexit
import logging
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from granian import Granian
from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from sqlalchemy.exc import DBAPIError

from ...config.errors import FailedError, StrongroomError
from ...config.settings import Settings
from ..processes.lifeline import end_with_parent
from .redirect import redirect_app
from .tls import ensure_certificates, tls_files

logger = logging.getLogger(__name__)

# Granian stops gracefully for this long, then kills; `up` promises that everything has ended after ten seconds.
_GRACE_SECONDS = 4
_NAMES_POLL_SECONDS = 2.0
_LOG_TO_STDERR = {
    "handlers": {
        name: {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}
        for name in ("console", "access")
    }
}


def serve_https(settings: Settings, slugs: Callable[[], list[str]]) -> None:
    """Serve the portal until SIGTERM or SIGINT. `slugs` says which workspaces the certificate must name just now.

    Raises `FailedError` when the port is taken.
    """
    check_port(settings.bind_host, settings.https_port, "https_port")
    ensure_certificates(settings, slugs())
    files = tls_files(settings)
    server = Granian(
        "strongroom",
        address=settings.bind_host,
        port=settings.https_port,
        workers=settings.web_workers,
        blocking_threads=settings.web_threads,
        ssl_cert=files.server,
        ssl_key=files.server,
        ssl_protocol_min=SSLProtocols.tls13,
        respawn_interval=1.0,
        **_common(),
    )
    threading.Thread(target=_keep_certificate, args=(settings, slugs), daemon=True, name="certificate").start()
    server.serve(target_loader=partial(_portal, settings, os.getpid()), wrap_loader=False)


def serve_redirects(settings: Settings) -> None:
    """Serve the plain-HTTP listener until SIGTERM or SIGINT. Raises `FailedError` when the port is taken."""
    check_port(settings.bind_host, settings.http_port, "http_port")
    server = Granian(
        "strongroom",
        address=settings.bind_host,
        port=settings.http_port,
        workers=1,
        blocking_threads=2,
        http1_settings=HTTP1Settings(header_read_timeout=5000),
        **_common(),
    )
    server.serve(target_loader=partial(_redirects, settings, os.getpid()), wrap_loader=False)


def check_port(host: str, port: int, setting: str) -> None:
    """Raise `FailedError` when `port` is taken. Granian itself shares a port (SO_REUSEPORT) and would not notice."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    other = f"choose another with --{setting.replace('_', '-')} or {setting} in strongroom.toml"
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
    """Whether the portal completes a TLS handshake with a certificate that this home's authority has signed."""
    try:
        context = ssl.create_default_context(cafile=str(tls_files(settings).authority))
        with (
            socket.create_connection((settings.bind_host, settings.https_port), seconds) as plain,
            context.wrap_socket(plain, server_hostname=settings.base_domain),
        ):
            return True
    except OSError:  # not listening, no authority yet, or somebody else's server
        return False


def _common() -> dict[str, Any]:
    return {
        "interface": Interfaces.WSGI,
        "respawn_failed_workers": True,
        "workers_kill_timeout": _GRACE_SECONDS,
        "log_level": LogLevels.warning,
        "log_dictconfig": _LOG_TO_STDERR,
        "websockets": False,
    }


def _portal(settings: Settings, parent: int) -> Any:
    """The portal's application, in the process that will run it: connections are never shared across a fork."""
    end_with_parent(parent)
    from ..control.platform import open_platform
    from .app import create_app

    resources = ExitStack()
    atexit.register(resources.close)
    return create_app(resources.enter_context(open_platform(settings)))


def _redirects(settings: Settings, parent: int) -> Any:
    end_with_parent(parent)
    return redirect_app(settings)


def _keep_certificate(settings: Settings, slugs: Callable[[], list[str]]) -> None:
    """Renew the certificate before it ends or when a workspace needs a name in it; SIGHUP makes granian read it."""
    while True:
        time.sleep(_NAMES_POLL_SECONDS)
        try:
            if ensure_certificates(settings, slugs()):
                os.kill(os.getpid(), signal.SIGHUP)
        except (StrongroomError, DBAPIError) as error:  # the database restarts, the disk is full: later, then
            logger.warning("The certificate could not be looked after: %s", error)
