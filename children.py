"""What `up` and `web` start: one process each, hidden from the help. Each imports what it needs, when it runs."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .config.errors import FailedError
from .platform.console.commands import Group, pass_invocation
from .platform.console.invocation import Invocation
from .platform.processes.lifeline import end_with_parent

if TYPE_CHECKING:
    from .provisioning.postgres.embedded import EmbeddedServer

LISTENING_PORTS = {"https_port": 1, "http_port": 1, "metrics_port": 0}  # and the lowest that each may be


def listening_ports(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that listens, or prints an address of what listens."""
    for name, lowest in LISTENING_PORTS.items():
        option = f"--{name.replace('_', '-')}"
        text = "0 for none." if lowest == 0 else None
        function = click.option(option, type=click.IntRange(lowest, 65535), metavar="N", help=text)(function)
    return function


@click.group(cls=Group, hidden=True)
@click.option("--parent", type=int, required=True)
@listening_ports
@pass_invocation
def serve(invocation: Invocation, parent: int, **ports: int | None) -> None:
    """The children of `up` and `web`; they end with their parent."""
    end_with_parent(parent)
    invocation.ports = ports


@serve.command(json=False, example="")
@pass_invocation
def postgres(invocation: Invocation) -> None:
    """Keep the embedded server running."""
    from .provisioning.postgres.embedded import EmbeddedServer

    server = EmbeddedServer(invocation.settings)
    with server.session():
        try:
            while server.is_running():
                time.sleep(0.5)
        finally:
            _sweep_throw_away_instances(server)
    raise FailedError("PostgreSQL has ended by itself; its log is in the folder log of the home.")


def _sweep_throw_away_instances(server: "EmbeddedServer") -> None:
    """Remove those of killed workers. A worker that was told to end at this same moment is given its time first."""
    from .platform.jobs.worker import GRACE_SECONDS
    from .provisioning.postgres.locks import exclusive
    from .provisioning.postgres.scratch import sweep

    deadline = time.monotonic() + GRACE_SECONDS + 2
    clean = False
    while not clean and time.monotonic() < deadline:
        with exclusive(server.start_lock):
            clean = sweep(server)
        if not clean:
            time.sleep(0.1)


@serve.command(json=False, example="")
@pass_invocation
def https(invocation: Invocation) -> None:
    """The portal."""
    from .platform.web.names import workspace_slugs
    from .platform.web.server import serve_https

    settings = invocation.settings
    serve_https(settings, lambda: workspace_slugs(settings))


@serve.command(json=False, example="")
@click.argument("index", type=int)
@pass_invocation
def portal(invocation: Invocation, index: int) -> None:
    """One web process of those behind a proxy."""
    from .platform.web.names import workspace_slugs
    from .platform.web.server import serve_proxied

    settings = invocation.settings
    serve_proxied(settings, index, lambda: workspace_slugs(settings))


@serve.command(json=False, example="")
@pass_invocation
def cdn(invocation: Invocation) -> None:
    """The portal, to the CDN."""
    from .platform.web.names import workspace_slugs
    from .platform.web.server import serve_cdn

    settings = invocation.settings
    serve_cdn(settings, lambda: workspace_slugs(settings))


@serve.command(json=False, example="")
@pass_invocation
def metrics(invocation: Invocation) -> None:
    """The private listener of the metrics."""
    from .platform.metrics.endpoint import serve_metrics

    serve_metrics(invocation.settings)


@serve.command(json=False, example="")
@pass_invocation
def redirect(invocation: Invocation) -> None:
    """The plain listener."""
    from .platform.web.server import serve_redirects

    serve_redirects(invocation.settings)


@serve.command(name="worker", json=False, example="")
@pass_invocation
def serve_worker(invocation: Invocation) -> None:
    """The worker."""
    from .platform.control.platform import open_platform
    from .platform.jobs.worker import run_worker
    from .worker_tasks import register_tasks

    register_tasks()
    with open_platform(invocation.settings, "worker") as platform:
        run_worker(platform)


@serve.command(name="archiver", json=False, example="")
@pass_invocation
def serve_archiver(invocation: Invocation) -> None:
    """What stores the embedded server's log."""
    from .backup.archive.archiver import run_archiver

    run_archiver(invocation.settings)
