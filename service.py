"""The service as processes: everything at once (`up`), or part by part as production runs it (`web`, `worker`)."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from .backup import tasks as backup_tasks
from .backup.runs import due_now
from .config.errors import FailedError
from .config.settings import SETTINGS_FILE, Settings, load_settings
from .platform.console.commands import Command, Group, pass_invocation
from .platform.console.invocation import Invocation
from .platform.console.output import Output
from .platform.control.platform import Platform, open_platform
from .platform.jobs.worker import GRACE_SECONDS, run_worker
from .platform.mail import delivery as mail_tasks
from .platform.processes.lifeline import end_with_parent
from .platform.processes.running import held
from .platform.processes.supervisor import Child, Supervisor
from .platform.tenants import queries as tenants
from .platform.web.names import workspace_slugs
from .platform.web.server import answers_https, check_port, serve_https, serve_redirects
from .platform.web.tls import tls_files
from .provisioning import tasks as provisioning_tasks
from .provisioning.demo.load import load_demo
from .provisioning.demo.ready import Standing, ready_block
from .provisioning.demo.secret import DemoNote, read_note
from .provisioning.initialise import initialise_home
from .provisioning.opening import open_home, require_initialised
from .provisioning.postgres.embedded import EmbeddedServer
from .provisioning.postgres.locks import exclusive
from .provisioning.postgres.places import check_home
from .provisioning.postgres.scratch import sweep
from .provisioning.status import check_health

# Importing them registers the tasks; the worker runs no others.
TASKS = (mail_tasks, provisioning_tasks, backup_tasks)
_WEB_SECONDS = 60.0  # until both listeners answer, on a slow machine
_FIRST_BACKUPS_SECONDS = 40.0  # `up` waits this long for the first backups before it says how far they are

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _ports(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that listens, or prints an address of what listens."""
    for name in ("--http-port", "--https-port"):
        function = click.option(name, type=click.IntRange(1, 65535), metavar="N")(function)
    return function


@click.command(
    cls=Command, json=False, example="strongroom up --demo\nstrongroom --home /srv/strongroom up --https-port 443"
)
@click.option("--demo", is_flag=True, help="With demo workspaces, loaded once: real amounts, generated people.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the demo's source data lie [../shared/data beside the project, else a small set of its own].",
)
@_ports
@pass_invocation
def up(invocation: Invocation, data: Path | None, https_port: int | None, http_port: int | None, *, demo: bool) -> None:
    """Run everything in one foreground process tree: PostgreSQL, control plane, web, worker.

    Makes the home when it is not there. Ctrl-C or SIGTERM ends all of it cleanly; a second start resumes.
    """
    began = time.monotonic()
    invocation.ports = {"https_port": https_port, "http_port": http_port}
    settings, output = invocation.settings, invocation.output
    check_home(settings.home)
    with held(settings), _supervisor() as supervisor:
        check_port(settings.bind_host, settings.https_port, "https_port")
        check_port(settings.bind_host, settings.http_port, "http_port")
        _prepare_home(settings, output)
        _start(supervisor, settings, "postgres", is_foundation=True)
        with EmbeddedServer(settings).session(), open_platform(settings) as platform:
            note = _demo(platform, data, output) if demo else read_note(settings)
            _start_web(supervisor, settings)
            _start(supervisor, settings, "worker")
            _first_backups(platform, supervisor, output)
            supervisor.take_signals()  # before it says “ready”: whoever reads that may send one at once
            output.print_plain(ready_block(settings, _standing(platform, note, began), note))
        supervisor.watch()
        output.say("Stopping …")


@click.command(cls=Command, json=False, example="strongroom --home /srv/strongroom web")
@_ports
@pass_invocation
def web(invocation: Invocation, https_port: int | None, http_port: int | None) -> None:
    """Serve the portal over TLS 1.3, and plain HTTP that redirects, until Ctrl-C or SIGTERM."""
    invocation.ports = {"https_port": https_port, "http_port": http_port}
    settings = invocation.settings
    require_initialised(settings)
    with EmbeddedServer(settings).session(), _supervisor() as supervisor:
        check_port(settings.bind_host, settings.https_port, "https_port")
        check_port(settings.bind_host, settings.http_port, "http_port")
        _start_web(supervisor, settings)
        supervisor.take_signals()
        invocation.output.say(f"Serving {settings.site_url()}; the certificate authority is {_authority(settings)}.")
        supervisor.watch()


@click.command(cls=Command, json=False, example="strongroom --home /srv/strongroom worker")
@click.option("--once", is_flag=True, help="End when no job is left that may run now.")
@pass_invocation
def worker(invocation: Invocation, *, once: bool) -> None:
    """Run jobs (provisioning, scheduled backups) until Ctrl-C or SIGTERM. Any number of workers may run."""
    with open_home(invocation.settings) as platform:
        run_worker(platform, wait=not once, announce=lambda: invocation.output.say("Waiting for jobs."))


@click.command(cls=Command, example="strongroom status --json")
@pass_invocation
def status(invocation: Invocation) -> None:
    """Say whether everything is healthy, or what is not. Exit code 1 if something is not."""
    checks = check_health(invocation.settings)
    healthy = all(check.ok for check in checks)
    if invocation.as_json:
        invocation.output.record({"healthy": healthy, "checks": checks})
    else:
        rows = [
            {"part": check.part, "state": "ok" if check.ok else "NOT OK", "detail": check.detail} for check in checks
        ]
        invocation.output.table(rows, {"part": "PART", "state": "STATE", "detail": "DETAIL"}, "")
    if not healthy:
        click.get_current_context().exit(1)


@click.group(cls=Group, hidden=True)
@click.option("--parent", type=int, required=True)
@_ports
@pass_invocation
def serve(invocation: Invocation, parent: int, https_port: int | None, http_port: int | None) -> None:
    """The children of `up` and `web`; they end with their parent."""
    end_with_parent(parent)
    invocation.ports = {"https_port": https_port, "http_port": http_port}


@serve.command(json=False, example="")
@pass_invocation
def postgres(invocation: Invocation) -> None:
    """Keep the embedded server running."""
    server = EmbeddedServer(invocation.settings)
    with server.session():
        try:
            while server.is_running():
                time.sleep(0.5)
        finally:
            _sweep_throw_away_instances(server)
    raise FailedError("PostgreSQL has ended by itself; its log is in the folder log of the home.")


def _sweep_throw_away_instances(server: EmbeddedServer) -> None:
    """Remove those of killed workers. A worker that was told to end at this same moment is given its time first."""
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
    settings = invocation.settings
    serve_https(settings, lambda: workspace_slugs(settings))


@serve.command(json=False, example="")
@pass_invocation
def redirect(invocation: Invocation) -> None:
    """The plain listener."""
    serve_redirects(invocation.settings)


@serve.command(name="worker", json=False, example="")
@pass_invocation
def serve_worker(invocation: Invocation) -> None:
    """The worker."""
    with open_platform(invocation.settings) as platform:
        run_worker(platform)


@contextmanager
def _supervisor() -> Generator[Supervisor]:
    supervisor = Supervisor()
    try:
        yield supervisor
    finally:
        supervisor.end()


def _start(supervisor: Supervisor, settings: Settings, name: str, *, is_foundation: bool = False) -> Child:
    ports = ("--https-port", str(settings.https_port), "--http-port", str(settings.http_port))
    own = ("--home", str(settings.home), "serve", "--parent", str(os.getpid()), *ports, name)
    return supervisor.start(name, *own, is_foundation=is_foundation)


def _start_web(supervisor: Supervisor, settings: Settings) -> None:
    portal = _start(supervisor, settings, "https")
    _start(supervisor, settings, "redirect")
    supervisor.wait_until(lambda: answers_https(settings), portal, _WEB_SECONDS)


def _prepare_home(settings: Settings, output: Output) -> None:
    if (settings.home / SETTINGS_FILE).exists():
        initialise_home(settings)
        return
    with output.progress(f"Setting up {settings.home}"):
        initialise_home(settings)


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
    same_home = load_settings().home == settings.home
    return found if same_home else f"{found} --home {settings.home}"


def _count(platform: Platform) -> tuple[int, int]:
    with platform.control.connect() as conn:
        every = tenants.list_all(conn)
    return len(every), sum(tenant.last_verified_at is not None for tenant in every)


def _authority(settings: Settings) -> Path:
    return tls_files(settings).authority
