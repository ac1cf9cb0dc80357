"""The private listener of the metrics: plain HTTP, `/metrics` only, the format that the caller asks for.

One small process: the standard library's server, as the Prometheus client itself uses it.
"""

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, exposition
from sqlalchemy import Engine

from ...config.settings import Settings
from ..control.engine import control_engine
from ..keys import KeyStore
from ..web.listening import check_port
from .collector import ControlDatabaseCollector

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class _Quiet(WSGIRequestHandler):
    """Asked every few seconds: not worth a line in the log. `timeout`, in seconds, is for callers that say nothing."""

    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        del format, args


class _Server(exposition.ThreadingWSGIServer):
    address_family = socket.AF_INET


class _Server6(_Server):
    address_family = socket.AF_INET6


def serve_metrics(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises `FailedError` when the port is taken."""
    host, port = settings.metrics_host, settings.metrics_port
    check_port(host, port, "metrics_port")
    app = metrics_app(control_engine(settings, KeyStore.open(settings)), settings)
    with make_server(host, port, app, _Server6 if ":" in host else _Server, _Quiet) as server:
        server.serve_forever()


def metrics_app(engine: Engine, settings: Settings) -> "WSGIApplication":
    """WSGI application that answers `GET /metrics` from the control database, in OpenMetrics or Prometheus's text."""
    registry = CollectorRegistry()
    registry.register(ControlDatabaseCollector(engine, settings))
    # The library leaves the type of what it makes open.
    metrics: WSGIApplication = exposition.make_wsgi_app(registry)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/metrics":
            return metrics(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"The metrics are at /metrics.\n"]

    return answer
