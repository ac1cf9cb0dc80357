"""The service as processes: everything at once (`up`), or part by part as production runs it (`web`, `worker`)."""

import os
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from .backup import tasks as backup_tasks
from .backup.archive import tasks as archive_tasks
from .backup.runs import due_now
from .children import LISTENING_PORTS, listening_ports
from .config.errors import FailedError
from .config.settings import SETTINGS_FILE, Settings, default_home
from .platform.console.commands import Command, pass_invocation
from .platform.console.invocation import Invocation
from .platform.console.output import Output
from .platform.control.platform import Platform, open_platform
from .platform.jobs.worker import run_worker
from .platform.limits.choice import check_storage
from .platform.processes.running import held
from .platform.processes.supervisor import Child, Supervisor
from .platform.tenants import queries as tenants
from .platform.web.listening import answers_cdn, answers_https, answers_proxy, check_port
from .platform.web.tls import tls_files
from .provisioning.demo.load import load_demo
from .provisioning.demo.ready import Standing, ready_block
from .provisioning.demo.secret import DemoNote, read_note
from .provisioning.fleet.commands import write_down
from .provisioning.fleet.migrate import migrate_fleet
from .provisioning.fleet.status import fleet_status
from .provisioning.initialise import initialise_home
from .provisioning.opening import open_home, require_initialised
from .provisioning.postgres.embedded import EmbeddedServer
from .provisioning.postgres.places import check_home
from .worker_tasks import register_tasks

_WEB_SECONDS = 60.0  # until both listeners answer, on a slow machine
_FIRST_BACKUPS_SECONDS = 40.0  # `up` waits this long for the first backups before it says how far they are


@click.command(
    cls=Command, json=False, example="strongroom up --demo\nstrongroom --home /srv/strongroom up --https-port 443"
)
@click.option("--demo", is_flag=True, help="With demo workspaces, loaded once: real amounts, generated people.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the demo's source data lie [../shared/data beside the project, else a small set of its own].",
)
@listening_ports
@pass_invocation
def up(invocation: Invocation, data: Path | None, *, demo: bool, **ports: int | None) -> None:
    """Run everything in one foreground process tree: PostgreSQL, control plane, web, worker.

    Makes the home when it is not there. Ctrl-C or SIGTERM ends all of it cleanly; a second start resumes.
    """
    began = time.monotonic()
    invocation.ports = ports
    settings, output = invocation.settings, invocation.output
    check_home(settings.home)
    with held(settings), _supervisor() as supervisor:
        _check_ports(settings)
        check_storage(settings)
        _prepare_home(settings, output)
        _start(supervisor, settings, "postgres", is_foundation=True)
        with EmbeddedServer(settings).session(), open_platform(settings) as platform:
            _upgrade(platform, output)
            note = _demo(platform, data, output) if demo else read_note(settings)
            _start_web(supervisor, settings)
            _start(supervisor, settings, "worker")
            _start(supervisor, settings, "archiver")
            archive_tasks.queue_first_base(platform)
            _first_backups(platform, supervisor, output)
            supervisor.take_signals()  # before it says “ready”: whoever reads that may send one at once
            if settings.worker_ports:
                output.say(_serving(settings))
            output.print_plain(ready_block(settings, _standing(platform, note, began), note))
        supervisor.watch()
        output.say("Stopping …")


@click.command(cls=Command, json=False, example="strongroom --home /srv/strongroom web")
@listening_ports
@pass_invocation
def web(invocation: Invocation, **ports: int | None) -> None:
    """Serve the portal over TLS 1.3, and plain HTTP that redirects, until Ctrl-C or SIGTERM."""
    invocation.ports = ports
    settings = invocation.settings
    require_initialised(settings)
    with EmbeddedServer(settings).session(), _supervisor() as supervisor:
        _check_ports(settings)
        check_storage(settings)
        _start_web(supervisor, settings)
        supervisor.take_signals()
        invocation.output.say(_serving(settings))
        supervisor.watch()


@click.command(cls=Command, json=False, example="strongroom --home /srv/strongroom worker")
@click.option("--once", is_flag=True, help="End when no job is left that may run now.")
@pass_invocation
def worker(invocation: Invocation, *, once: bool) -> None:
    """Run jobs (provisioning, scheduled backups) until Ctrl-C or SIGTERM. Any number of workers may run."""
    register_tasks()
    with open_home(invocation.settings, "worker") as platform:
        run_worker(platform, wait=not once, announce=lambda: invocation.output.say("Waiting for jobs."))


@contextmanager
def _supervisor() -> Generator[Supervisor]:
    supervisor = Supervisor()
    try:
        yield supervisor
    finally:
        supervisor.end()


def _check_ports(settings: Settings) -> None:
    if settings.metrics_port:
        check_port(settings.metrics_host, settings.metrics_port, "metrics_port")
    if settings.cdn_port:
        check_port(settings.bind_host, settings.cdn_port, "cdn_port")
    for port in settings.worker_ports:
        check_port(settings.bind_host, port, "worker_port_base")
    if not settings.worker_ports:
        check_port(settings.bind_host, settings.https_port, "https_port")
        check_port(settings.bind_host, settings.http_port, "http_port")


def _start(
    supervisor: Supervisor, settings: Settings, name: str, *arguments: str, is_foundation: bool = False
) -> Child:
    ports = [f"--{port.replace('_', '-')}={getattr(settings, port)}" for port in LISTENING_PORTS]
    own = ("--home", str(settings.home), "serve", "--parent", str(os.getpid()), *ports, name, *arguments)
    return supervisor.start(" ".join((name, *arguments)), *own, is_foundation=is_foundation)


def _start_web(supervisor: Supervisor, settings: Settings) -> None:
    if settings.metrics_port:
        _start(supervisor, settings, "metrics")
    if settings.worker_ports:
        _start_proxied(supervisor, settings)
    else:
        portal = _start(supervisor, settings, "https")
        _start(supervisor, settings, "redirect")
        supervisor.wait_until(lambda: answers_https(settings), portal, _WEB_SECONDS)
    if settings.cdn_port:
        cdn = _start(supervisor, settings, "cdn")
        supervisor.wait_until(lambda: answers_cdn(settings), cdn, _WEB_SECONDS)


def _start_proxied(supervisor: Supervisor, settings: Settings) -> None:
    """One process per port: a proxy sends each workspace to the same one, so that its connections exist once."""
    portals = [_start(supervisor, settings, "portal", str(index)) for index in range(len(settings.worker_ports))]
    for index, portal in enumerate(portals):
        supervisor.wait_until(partial(answers_proxy, settings, index), portal, _WEB_SECONDS)


def _serving(settings: Settings) -> str:
    if not settings.worker_ports:
        return f"Serving {settings.site_url()}; the certificate authority is {_authority(settings)}."
    ports = f"{settings.worker_ports[0]} to {settings.worker_ports[-1]}"
    return f"Serving the ports {ports} to the proxy that answers at {settings.site_url()} (`strongroom proxy config`)."


def _prepare_home(settings: Settings, output: Output) -> None:
    if (settings.home / SETTINGS_FILE).exists():
        initialise_home(settings)
        return
    with output.progress(f"Setting up {settings.home}"):
        initialise_home(settings)


def _upgrade(platform: Platform, output: Output) -> None:
    """Before anybody is served: pages read columns that the workspaces of an earlier release do not have yet.

    Raises `FailedError` while one of them cannot be upgraded.
    """
    if not fleet_status(platform).behind:
        return
    with output.progress("Upgrading the workspaces of an earlier release") as say:
        report = migrate_fleet(platform, say=say)
        write_down(platform, report)
    if not report.complete:
        raise FailedError("Not every workspace could be upgraded; see `strongroom fleet status`, mend it, start again.")


def _demo(platform: Platform, data: Path | None, output: Output) -> DemoNote:
    note = read_note(platform.settings)
    if note is not None and note.workspaces:
        return note
    with output.progress("Loading the demo") as advance:
        return load_demo(platform, data, advance)


def _first_backups(platform: Platform, supervisor: Supervisor, output: Output) -> None:
    """Have the worker take what is due; wait a little for workspaces that have no backup at all."""
    if due_now(platform):
        backup_tasks.queue_due(platform)
    all_of_them, done = _count(platform)
    if done >= all_of_them:
        return
    deadline = time.monotonic() + _FIRST_BACKUPS_SECONDS
    with output.progress("Taking the first backups") as advance:
        while done < all_of_them and time.monotonic() < deadline and not supervisor.stopping:
            time.sleep(0.25)
            all_of_them, verified = _count(platform)
            if verified > done:
                done = verified
                advance(f"{verified} of {all_of_them} verified")


def _standing(platform: Platform, note: DemoNote | None, began: float) -> Standing:
    with platform.control.connect() as conn:
        every = tenants.list_all(conn)
    shown = note.workspaces if note else ()
    names = {tenant.slug: tenant.name for tenant in every}
    return Standing(
        seconds=time.monotonic() - began,
        workspaces=len(every),
        verified=sum(tenant.last_verified_at is not None for tenant in every),
        names={slug: names[slug] for slug in shown if slug in names},
        authority=_authority(platform.settings),
        program=_program(platform.settings),
    )


def _program(settings: Settings) -> str:
    """How the other commands are called from here: as short as they still mean this program and this home."""
    called = Path(sys.argv[0])
    on_path = shutil.which(called.name)
    found = (
        called.name
        if on_path and Path(on_path).resolve() == called.resolve()
        else min(str(called.absolute()), os.path.relpath(called), key=len)
    )
    if called.name == "__main__.py":
        found = f"{sys.executable} -m strongroom"
    return found if default_home() == settings.home else f"{found} --home {settings.home}"


def _count(platform: Platform) -> tuple[int, int]:
    with platform.control.connect() as conn:
        every = tenants.list_all(conn)
    return len(every), sum(tenant.last_verified_at is not None for tenant in every)


def _authority(settings: Settings) -> Path:
    return tls_files(settings).authority
