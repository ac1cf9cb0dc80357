"""The operator's commands around PostgreSQL servers. They parse, call, and print; the work is elsewhere."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..platform.audit import queries as audit
from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.servers import queries as servers
from .admin_login import read_admin_login
from .commands import operator_name
from .opening import open_home
from .pooler_commands import host_and_port, pooler
from .repair_command import mend_server
from .server_add import NewServer, add_server
from .server_check import ServerReport, check_server
from .server_layers import closing_rules
from .verdict import print_verdict


@click.group(cls=Group)
def server() -> None:
    """PostgreSQL servers that hold workspaces: add, list, check, rules, pooler, drain, undrain."""


server.add_command(pooler)


@server.command(
    example="strongroom server add db2 --dsn-file db2.dsn --region eu",
)
@click.argument("name")
@click.option(
    "--dsn-file",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File, mode 0600, with the superuser's connection string. Used once, never kept.",
)
@click.option("--region", required=True, help="Where the server stands: its workspaces' data stay there.")
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most connections of tenants, all processes together [what max_connections leaves].",
)
@click.option(
    "--rules",
    type=click.Choice(["ours", "managed"]),
    help="Whether its pg_hba.conf is yours to write [ours]; managed: the access lists hold alone.",
)
@click.option(
    "--pooler",
    callback=host_and_port,
    metavar="HOST:PORT",
    help="PgBouncer in front of it, for tenants' connections only.",
)
@pass_invocation
def add(invocation: Invocation, name: str, dsn_file: Path, region: str, rules: str | None, **more: Any) -> None:
    """Set up a PostgreSQL server (15 to 18) and take it into service. Harmless to repeat, also to change an option.

    The superuser's login makes the platform's roles, the functions that make tenants' roles, and the template. It is
    used once and not kept. Over the network the server must speak TLS; with sslrootcert= it must prove its name.

    FILE says: host=db2.example user=postgres password=… sslrootcert=/etc/ssl/db2-ca.crt
    """
    login = read_admin_login(dsn_file)
    new = NewServer(name, region, rules_are_ours=None if rules is None else rules == "ours", **more)
    with open_home(invocation.settings) as platform, invocation.output.progress(f"Setting up {name}"):
        report = add_server(platform, new, login, operator_name())
        with platform.control.connect() as conn:
            added = servers.by_name(conn, name)
    what = f"PostgreSQL {report.version}, region {added.region}, {added.connection_limit} connections for tenants"
    sentences = [
        f"{name} is in service ({what}): roles, functions and template are there.",
        "The superuser's login was used once and is not kept.",
    ]
    invocation.output.done("\n".join([*sentences, *_described(report)]), _document(report))


@server.command(name="list", example="strongroom server list --json")
@pass_invocation
def list_servers(invocation: Invocation) -> None:
    """List the servers: name, host or socket folder, port, region, and how many workspaces each holds."""
    with open_home(invocation.settings) as platform, platform.control.connect() as conn:
        counts, spares = servers.databases(conn), servers.spares(conn)
        rows = [
            {
                "name": one.name,
                "kind": one.kind,
                "host": one.host,
                "port": one.port,
                "region": one.region,
                "accepts_tenants": one.accepts_tenants,
                "tenants": counts.get(one.name, 0),
                "spares": spares.get(one.name, 0),
                "connection_limit": one.connection_limit,
                "rules_are_ours": one.rules_are_ours,
                "pooler": f"{one.pooler_host}:{one.pooler_port}" if one.pooler_host else None,
            }
            for one in servers.list_all(conn)
        ]
    headings = {key: key.replace("_", " ").upper() for key in ("name", "host", "port", "region", "tenants")}
    invocation.output.table(rows, headings, "There are no servers.")


@server.command(example="strongroom server check embedded")
@click.argument("name")
@click.option("--repair", "mend", is_flag=True, help="Mend what can be mended; asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def check(invocation: Invocation, name: str, *, mend: bool, yes: bool) -> None:
    """Reach a server, and say which layers hold there. Exit code 5 if something is open that must be closed.

    Databases and roles without a record, records without a database, and drops that were never finished count as such.
    With --repair what can be mended is mended first; what is none of ours is never touched.
    """
    with open_home(invocation.settings) as platform:
        if mend:
            mend_server(invocation, platform, name, yes=yes)
        report = check_server(platform, name)
    problems = [f"{finding.where} {finding.sentence}." for finding in report.findings]
    answer = f"{name} answers (PostgreSQL {report.version}); its {report.databases} databases are closed."
    print_verdict(invocation, _document(report), "\n".join([answer, *_described(report)]), problems)


@server.command(example="strongroom server rules db2")
@click.argument("name")
@pass_invocation
def rules(invocation: Invocation, name: str) -> None:
    """Print the lines for the top of a server's pg_hba.conf that close tenants in."""
    with open_home(invocation.settings) as platform, platform.control.connect() as conn:
        lines = closing_rules(servers.by_name(conn, name))
    invocation.output.done(lines.rstrip(), {"name": name, "rules": lines.splitlines()})


@server.command(example="strongroom server drain db2")
@click.argument("name")
@pass_invocation
def drain(invocation: Invocation, name: str) -> None:
    """Place no new workspaces on a server; those that are there stay and work on."""
    _accept(invocation, name, accepts=False)


@server.command(example="strongroom server undrain db2")
@click.argument("name")
@pass_invocation
def undrain(invocation: Invocation, name: str) -> None:
    """Place new workspaces on a server again."""
    _accept(invocation, name, accepts=True)


def _accept(invocation: Invocation, name: str, *, accepts: bool) -> None:
    with open_home(invocation.settings) as platform, platform.control.begin() as conn:
        servers.set_accepts_tenants(conn, name, accepts=accepts)
        action = "server.undrained" if accepts else "server.drained"
        audit.record(conn, operator_name(), action, detail={"server": name})
    sentence = f"{name} takes new workspaces." if accepts else f"{name} takes no new workspaces."
    invocation.output.done(sentence, {"name": name, "accepts_tenants": accepts})


def _described(report: ServerReport) -> list[str]:
    lines = [f"  {layer.name}: {layer.holding} ({layer.detail})" for layer in report.layers]
    return lines + [f"  hint: {hint.setting} is {hint.value}: {hint.sentence}" for hint in report.hints]


def _document(report: ServerReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "version": report.version,
        "databases": report.databases,
        "findings": [finding.as_json() for finding in report.findings],
        "layers": [asdict(layer) for layer in report.layers],
        "hints": [asdict(hint) for hint in report.hints],
    }
