"""The operator's commands around PgBouncer. They parse, call, and print; the work is elsewhere."""

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from ..platform.audit import queries as audit
from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from .commands import operator_name
from .opening import open_home
from .pooler.configuration import Plan, on_socket
from .pooler.files import SETTINGS, PoolerFiles
from .pooler.reaching import require_pooler
from .pooler.running import run_pooler

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # containers have names with “_”
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


def host_and_port(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """Read HOST:PORT. Raises `BadParameter` for anything else."""
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not _is_host(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter("give HOST:PORT, such as pooler.example:6432; other letters as DNS has them (xn--…)")
    return host, int(port)


def _is_host(host: str) -> bool:
    """Say whether this is an address, a name that a certificate can carry, or a socket's folder."""
    try:
        ip_address(host)
    except ValueError:
        is_folder = on_socket(host) and host.isprintable() and "," not in host  # to libpq that is a list of hosts
        return is_folder or _HOST_NAME.fullmatch(host) is not None
    return True


def _choices(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments of both commands."""
    for decorate in (
        click.option(
            "--reuse",
            type=click.IntRange(0, 60),
            default=0,
            metavar="SECONDS",
            help="Keep a session for the next client of the same login; 0 keeps the server's limit exactly [0].",
        ),
        click.option("--listen", metavar="HOST", help="Where PgBouncer listens [the host that clients connect to]."),
        click.option(
            "--address",
            callback=host_and_port,
            metavar="HOST:PORT",
            help="What clients connect to; a folder for a Unix socket [what `server pooler use` has said].",
        ),
        click.option(
            "--output",
            type=click.Path(path_type=Path, file_okay=False),
            required=True,
            metavar="DIR",
            help="Folder for its files.",
        ),
        click.argument("name"),
    ):
        function = decorate(function)
    return function


@click.group(cls=Group)
def pooler() -> None:
    """PgBouncer in front of a server, with each workspace's own login."""


@pooler.command(example="strongroom server pooler config main --address db1.example:6432 --output /etc/pgbouncer/main")
@_choices
@pass_invocation
def config(invocation: Invocation, name: str, **choices: Any) -> None:
    """Write PgBouncer's configuration, with the logins that there are now.

    New workspaces and new logins need it again, and a reload of PgBouncer; `strongroom server pooler run` does both by
    itself.
    """
    with open_home(invocation.settings) as platform:
        files = _files(platform, name, **choices)
        changed = files.update()
    path = files.plan.folder / SETTINGS
    sentence = f"{path} and what belongs to it are {'written' if changed else 'as they should be'}"
    document = {"name": name, "settings": path, "logins": files.logins(), "changed": changed}
    invocation.output.done(f"{sentence}: {files.logins()} logins.", document)


@pooler.command(
    json=False, example="strongroom server pooler run main --address db1.example:6432 --output /etc/pgbouncer/main"
)
@_choices
@pass_invocation
def run(invocation: Invocation, name: str, **choices: Any) -> None:
    """Run PgBouncer until Ctrl-C or SIGTERM; new logins reach it within a second."""
    with open_home(invocation.settings) as platform:
        files = _files(platform, name, **choices)
        run_pooler(files, lambda: invocation.output.say(f"PgBouncer runs for {name}: {files.logins()} logins."))


@pooler.command(example="strongroom server pooler use main db1.example:6432")
@click.argument("name")
@click.argument("address", callback=host_and_port, metavar="HOST:PORT")
@pass_invocation
def use(invocation: Invocation, name: str, address: tuple[str, int]) -> None:
    """Lead workspaces' connections through a pooler that runs already; all processes follow within a second."""
    host, port = address
    with open_home(invocation.settings) as platform:
        with platform.control.connect() as conn:
            authority = servers.by_name(conn, name).pooler_authority
        require_pooler(name, authority, address)
        with platform.control.begin() as conn:
            servers.set_pooler(conn, name, address)
            audit.record(conn, operator_name(), "server.pooler", None, {"server": name, "host": host, "port": port})
    document = {"name": name, "host": host, "port": port}
    invocation.output.done(f"Workspaces on {name} connect to {host}, port {port}.", document)


@pooler.command(example="strongroom server pooler leave main")
@click.argument("name")
@pass_invocation
def leave(invocation: Invocation, name: str) -> None:
    """Lead workspaces' connections to the server itself again."""
    with open_home(invocation.settings) as platform, platform.control.begin() as conn:
        servers.by_name(conn, name)
        servers.set_pooler(conn, name, None)
        audit.record(conn, operator_name(), "server.pooler", None, {"server": name, "host": None})
    document = {"name": name, "host": None, "port": None}
    invocation.output.done(f"Workspaces on {name} connect to the server itself.", document)


def _files(
    platform: Platform, name: str, *, output: Path, address: tuple[str, int] | None, listen: str | None, reuse: int
) -> PoolerFiles:
    plan = Plan(output.absolute(), address, listen, reuse, platform.settings.checkout_timeout)
    return PoolerFiles(platform, name, plan)
