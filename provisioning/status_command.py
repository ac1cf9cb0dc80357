"""`status`: what is healthy, and how the registries of all processes do."""

from dataclasses import asdict
from typing import Any

import click

from ..platform.console.commands import Command, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.console.output import Output
from .healthy import Check
from .registry_status import RegistryUse, Use
from .status import check_health

_USE = ("held", "limit", "hits", "misses", "hit_rate", "evictions", "waits", "timeouts", "waiting", "breaker")
_COLUMNS = ("server", "process", *_USE, "spares")


@click.command(cls=Command, example="strongroom status --json\nstrongroom status -v")
@pass_invocation
def status(invocation: Invocation) -> None:
    """Say whether everything is healthy, or what is not. Exit code 1 if something is not.

    Then, for each server and each process, how many of the connections that it may hold are open, how often a request
    found one, waited for one or got none in time, and how many were closed to make room for another workspace. With -v
    the workspaces that were used most, by their ids.
    """
    health = check_health(invocation.settings)
    if invocation.as_json:
        registry = asdict(health.registry) if health.registry else None
        invocation.output.record({"healthy": health.ok, "checks": health.checks, "registry": registry})
    else:
        _print_checks(invocation.output, health.checks)
        if health.registry is not None:
            _print_registry(invocation.output, health.registry, verbose=invocation.verbose)
    if not health.ok:
        click.get_current_context().exit(1)


def _print_checks(output: Output, checks: list[Check]) -> None:
    rows = [{"part": check.part, "state": "ok" if check.ok else "NOT OK", "detail": check.detail} for check in checks]
    output.table(rows, {"part": "PART", "state": "STATE", "detail": "DETAIL"}, "")


def _print_registry(output: Output, registry: RegistryUse, *, verbose: bool) -> None:
    rows: list[dict[str, Any]] = []
    for server in registry.servers:
        rows.append({"server": server.name, "process": "all", "spares": server.spares, **_shown(server.use)})
        rows += [
            {"server": server.name, "process": f"{one.kind} {one.process}", "spares": None, **_shown(one.use)}
            for one in server.processes
        ]
    if rows:
        output.print_plain("")
        output.table(rows, {name: name.replace("_", " ").upper() for name in _COLUMNS}, "")
    if verbose and registry.busiest:
        output.print_plain("")
        used = {"tenant": "BUSIEST", "server": "SERVER", "uses": "USES", "open": "HELD"}
        output.table([asdict(use) for use in registry.busiest], used, "")


def _shown(use: Use) -> dict[str, Any]:
    rate = None if use.hit_rate is None else f"{use.hit_rate:.1%}"
    return asdict(use) | {"hit_rate": rate}
