"""The public listeners, both granian: HTTPS with TLS 1.3 only, and plain HTTP that redirects.

Behind a proxy each web process has an HTTPS listener of its own, which lets in nobody but the proxy.
"""

import atexit
import os
import resource
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels

from ...config.settings import Settings
from ..processes.lifeline import end_with_parent
from .forwarded import believing, believing_cdn
from .gateway import Gateway, Served
from .listening import check_port
from .patience import Patience
from .reaper import Reaper
from .redirect import redirect_app
from .reloading import ReloadingGranian
from .renewal import first, look_after
from .tls import ensure_cdn_authority, ensure_certificates, ensure_proxy_certificates, tls_files

Load = Callable[[Settings, int], Served]  # with the process that the new one must not outlive

# Granian stops gracefully for this long, then kills; `up` promises that everything has ended after ten seconds.
_GRACE_SECONDS = 4
PLACES = 4096  # connections that one process keeps at the same time; the next wait to be accepted
MOST_HEADER = 64 * 1024  # bytes of the head of a request
MOST_STREAMS = 16  # requests of one HTTP/2 connection at the same time: granian keeps what it does not take
PATIENCE = Patience()
_TURN = 0.001  # seconds that one thread may keep the others, and the event loop, waiting; Python's own are 0.005
_LOG_TO_STDERR = {
    "handlers": {
        name: {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}
        for name in ("console", "access")
    }
}


def serve_https(
    settings: Settings, slugs: Callable[[], list[str]], load: Load | None = None, patience: Patience = PATIENCE
) -> None:
    """Serve the portal until SIGTERM or SIGINT. `slugs` says which workspaces the certificate must name just now.

    `load` makes another application than the portal. Raises `FailedError` when the port is taken.
    """
    check_port(settings.bind_host, settings.https_port, "https_port")
    files = tls_files(settings)

    def renew() -> None:
        ensure_certificates(settings, slugs())

    first(renew, files.server)
    server = ReloadingGranian(
        "strongroom",
        address=settings.bind_host,
        port=settings.https_port,
        workers=settings.web_workers,
        ssl_cert=files.server,
        ssl_key=files.server,
        ssl_protocol_min=SSLProtocols.tls13,
        **_common(patience),
    )
    look_after(renew, files.server)
    load = partial(load or _portal, settings, os.getpid())
    server.serve(target_loader=_gateway(settings.https_port, settings.web_threads, patience, load), wrap_loader=False)


def serve_proxied(
    settings: Settings,
    index: int,
    slugs: Callable[[], list[str]],
    load: Load | None = None,
    patience: Patience = PATIENCE,
) -> None:
    """Serve web process `index` to the proxy, and to nobody else, until SIGTERM or SIGINT.

    The certificate that the proxy serves with is looked after here, too. `load` makes another application than the
    portal. Raises `FailedError` when the port is taken.
    """
    port = settings.worker_ports[index]
    check_port(settings.bind_host, port, "worker_port_base")
    files = tls_files(settings)

    def renew() -> None:
        ensure_proxy_certificates(settings)  # first: an operator's file that is bad must not stop it
        ensure_certificates(settings, slugs())

    first(renew, files.server, files.worker, files.proxy)
    server = ReloadingGranian(
        "strongroom",
        address=settings.bind_host,
        port=port,
        workers=1,
        ssl_cert=files.worker,
        ssl_key=files.worker,
        ssl_protocol_min=SSLProtocols.tls13,
        ssl_ca=files.authority,
        ssl_client_verify=True,
        **_common(patience),
    )
    look_after(renew, files.worker)
    own = os.getpid()

    def believing_the_proxy() -> Served:
        served = (load or _portal)(settings, own)
        return Served(believing(served.app), served.most, by_address=False)

    server.serve(target_loader=_gateway(port, settings.web_threads, patience, believing_the_proxy), wrap_loader=False)


def serve_cdn(
    settings: Settings, slugs: Callable[[], list[str]], load: Load | None = None, patience: Patience = PATIENCE
) -> None:
    """Serve the portal to the CDN, and to nobody else, until SIGTERM or SIGINT.

    The CDN shows a client certificate that `cdn_authority` has signed. Raises `FailedError` when the port is taken or
    the authority's file cannot be read.
    """
    port = settings.cdn_port
    check_port(settings.bind_host, port, "cdn_port")
    files = tls_files(settings)

    def renew() -> None:
        ensure_cdn_authority(settings)  # first: an operator's file that is bad must not stop it
        ensure_certificates(settings, slugs())

    first(renew, files.server, files.cdn)
    server = ReloadingGranian(
        "strongroom",
        address=settings.bind_host,
        port=port,
        workers=settings.web_workers,
        ssl_cert=files.server,
        ssl_key=files.server,
        ssl_protocol_min=SSLProtocols.tls13,
        ssl_ca=files.cdn,
        ssl_client_verify=True,
        **_common(patience),
    )
    look_after(renew, files.server, files.cdn)
    own = os.getpid()

    def believing_it() -> Served:
        served = (load or _portal)(settings, own)
        return Served(believing_cdn(served.app, settings), served.most, by_address=False)

    server.serve(target_loader=_gateway(port, settings.web_threads, patience, believing_it), wrap_loader=False)


def serve_redirects(settings: Settings, patience: Patience = PATIENCE) -> None:
    """Serve the plain-HTTP listener until SIGTERM or SIGINT. Raises `FailedError` when the port is taken."""
    check_port(settings.bind_host, settings.http_port, "http_port")
    server = ReloadingGranian(
        "strongroom",
        address=settings.bind_host,
        port=settings.http_port,
        workers=1,
        **_common(patience),
    )
    load = partial(_redirects, settings, os.getpid())
    server.serve(target_loader=_gateway(settings.http_port, 2, patience, load), wrap_loader=False)


def _common(patience: Patience) -> dict[str, Any]:
    return {
        "interface": Interfaces.RSGI,
        "backpressure": PLACES,
        # Granian counts the time between two requests as the time for the next one's head.
        "http1_settings": HTTP1Settings(header_read_timeout=int(patience.idle * 1000), max_buffer_size=MOST_HEADER),
        "http2_settings": HTTP2Settings(max_headers_size=MOST_HEADER, max_concurrent_streams=MOST_STREAMS),
        "respawn_failed_workers": True,
        "workers_kill_timeout": _GRACE_SECONDS,
        "log_level": LogLevels.warning,
        "log_dictconfig": _LOG_TO_STDERR,
        "websockets": False,
    }


def _gateway(port: int, threads: int, patience: Patience, load: Callable[[], Served]) -> Callable[..., Any]:
    """What granian calls in each process that serves."""

    def start() -> Gateway:
        sys.setswitchinterval(_TURN)
        _raise_open_files(2 * PLACES)
        gateway = Gateway(load(), threads, patience)
        Reaper(port, gateway, crowd=PLACES // 2).start()
        return gateway

    return start


def _raise_open_files(wanted: int) -> None:
    """A connection is an open file, and systems allow 1,024 unless asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _portal(settings: Settings, parent: int) -> Served:
    """The portal's application, in the process that will run it: connections are never shared across a fork."""
    end_with_parent(parent)
    from ..control.platform import open_platform
    from .app import create_app
    from .uploads import most_bytes

    resources = ExitStack()
    atexit.register(resources.close)
    app = create_app(resources.enter_context(open_platform(settings, "web")))
    return Served(app, partial(most_bytes, app))


def _redirects(settings: Settings, parent: int) -> Served:
    end_with_parent(parent)
    return Served(redirect_app(settings), lambda _method, _host, _path: 0)
