"""The public listeners, both granian: HTTPS with TLS 1.3 only, and plain HTTP that redirects.

Behind a proxy each web process has an HTTPS listener of its own, which lets in nobody but the proxy.
"""

import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from sqlalchemy.exc import DBAPIError

from ...config.errors import StrongroomError
from ...config.settings import Settings
from ..processes.lifeline import end_with_parent
from .forwarded import believing
from .listening import check_port
from .redirect import redirect_app
from .tls import ensure_certificates, ensure_proxy_certificates, tls_files

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
    files = tls_files(settings)
    ensure_certificates(settings, slugs())
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
    _look_after(files.server, lambda: ensure_certificates(settings, slugs()))
    server.serve(target_loader=partial(_portal, settings, os.getpid()), wrap_loader=False)


def serve_proxied(
    settings: Settings, index: int, slugs: Callable[[], list[str]], load: Callable[[], Any] | None = None
) -> None:
    """Serve web process `index` to the proxy, and to nobody else, until SIGTERM or SIGINT.

    The certificate that the proxy serves with is looked after here, too. `load` makes another application than the
    portal. Raises `FailedError` when the port is taken.
    """
    port = settings.worker_ports[index]
    check_port(settings.bind_host, port, "worker_port_base")
    files = tls_files(settings)

    def renew() -> None:
        ensure_certificates(settings, slugs())
        ensure_proxy_certificates(settings)

    renew()
    server = Granian(
        "strongroom",
        address=settings.bind_host,
        port=port,
        workers=1,
        blocking_threads=settings.web_threads,
        ssl_cert=files.worker,
        ssl_key=files.worker,
        ssl_protocol_min=SSLProtocols.tls13,
        ssl_ca=files.authority,
        ssl_client_verify=True,
        respawn_interval=1.0,
        **_common(),
    )
    _look_after(files.worker, renew)
    portal = partial(_portal, settings, os.getpid())
    server.serve(target_loader=lambda: believing((load or portal)()), wrap_loader=False)


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
    return create_app(resources.enter_context(open_platform(settings, "web")))


def _redirects(settings: Settings, parent: int) -> Any:
    end_with_parent(parent)
    return redirect_app(settings)


def _look_after(certificate: Path, renew: Callable[[], object]) -> None:
    """Renew before the end, or when a workspace needs a name in it; SIGHUP makes granian read what has changed."""
    threading.Thread(
        target=_keep_certificate, args=(certificate, _stamp(certificate), renew), daemon=True, name="certificate"
    ).start()


def _keep_certificate(certificate: Path, read: tuple[int, int], renew: Callable[[], object]) -> None:
    while True:
        time.sleep(_NAMES_POLL_SECONDS)
        try:
            renew()
            if (now := _stamp(certificate)) != read:  # by us, or by another process of this home
                read = now
                os.kill(os.getpid(), signal.SIGHUP)
        except (StrongroomError, DBAPIError, OSError) as error:  # the database restarts, the disk is full: later, then
            logger.warning("The certificate could not be looked after: %s", error)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
