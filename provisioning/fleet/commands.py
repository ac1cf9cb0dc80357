"""The operator's commands around the schema of all workspaces."""

import dataclasses
from typing import Any

import click

from ...config.errors import FailedError, VerificationError
from ...platform.audit import queries as audit
from ...platform.console.commands import Group, pass_invocation
from ...platform.console.invocation import Invocation
from ...platform.control.platform import Platform
from ..commands import operator_name
from ..opening import open_home
from .migrate import Report, Wish, migrate_fleet
from .status import fleet_status
from .workers import Outcome

_DEFAULT = Wish()
_LISTED = {"revision": "REVISION", "tenants": "WORKSPACES", "spares": "SPARES"}
_MOST_SHOWN = 20


@click.group(cls=Group)
def fleet() -> None:
    """The schema of all workspaces: migrate, status."""


@fleet.command(example="strongroom fleet migrate --canary 5 --parallel 4 --failure-budget 10")
@click.option("--canary", type=click.IntRange(0), default=_DEFAULT.canaries, show_default=True, metavar="N")
@click.option("--parallel", type=click.IntRange(1, 8), default=_DEFAULT.parallel, show_default=True, metavar="N")
@click.option("--failure-budget", type=click.IntRange(0), default=_DEFAULT.budget, show_default=True, metavar="N")
@pass_invocation
def migrate(invocation: Invocation, canary: int, parallel: int, failure_budget: int) -> None:
    """Upgrade the schema of all workspaces, which are served meanwhile; then compare each with the template.

    N canaries come first, one by one: if one fails, nothing else is touched. A database is upgraded wholly or not at
    all. When more than --failure-budget have failed, no further one is begun; repeating the command goes on with what
    is left and tries again what failed.
    """
    wish = Wish(canary, parallel, failure_budget)
    with open_home(invocation.settings) as platform, invocation.output.progress("Upgrading the schema") as say:
        report = migrate_fleet(platform, wish, say)
        write_down(platform, report)
    _print(invocation, report)


@fleet.command(example="strongroom fleet status --json")
@pass_invocation
def status(invocation: Invocation) -> None:
    """Say how many workspaces have which revision of the schema, and what could not be upgraded."""
    with open_home(invocation.settings) as platform:
        found = fleet_status(platform)
    output = invocation.output
    if output.as_json:
        output.record(dataclasses.asdict(found) | {"behind": found.behind})
        return
    output.table([dataclasses.asdict(one) for one in found.revisions], _LISTED, "")
    for one in found.failures:
        output.print_plain(f"{one.slug or one.placement_id}: {one.sentence} ({one.attempts} attempts)")
    if found.behind:
        output.say(f"{found.behind} are behind {found.newest}; upgrade them with: strongroom fleet migrate")


def write_down(platform: Platform, report: Report) -> None:
    """Put an upgrade into the operators' audit log."""
    detail = {"revision": report.revision, "upgraded": report.upgraded, "failed": len(report.failed)}
    with platform.control.begin() as conn:
        audit.record(conn, operator_name(), "fleet.migrated", None, detail)


def _print(invocation: Invocation, report: Report) -> None:
    """Print the report. Raises `FailedError`, or `VerificationError` for schemas that differ, unless all is well."""
    sentence = (
        f"{report.upgraded} upgraded to {report.revision} in {report.seconds:.1f} s, {report.current} were there,"
        f" {len(report.failed)} failed, {report.left} left."
    )
    invocation.output.done(sentence, _document(report))
    if report.complete:
        return
    for outcome in (*report.failed, *report.differing)[:_MOST_SHOWN]:
        invocation.output.say(f"  {outcome.database.label}: {outcome.failure}")
    for server, why in report.unready.items():
        invocation.output.say(f"  server {server}: {why}")
    if report.differing:
        raise VerificationError(f"{len(report.differing)} databases have the revision but not the template's schema.")
    why = f"Stopped because {report.stopped}" if report.stopped else "Not everything could be upgraded"
    raise FailedError(f"{why}; cure the cause and repeat the command, which goes on where it stopped.")


def _document(report: Report) -> dict[str, Any]:
    return {
        "revision": report.revision,
        "upgraded": report.upgraded,
        "already_current": report.current,
        "left": report.left,
        "failed": [_row(outcome) for outcome in report.failed],
        "differing": [_row(outcome) for outcome in report.differing],
        "servers_not_ready": report.unready,
        "stopped": report.stopped,
        "seconds": round(report.seconds, 2),
    }


def _row(outcome: Outcome) -> dict[str, Any]:
    one = outcome.database
    return {"tenant": one.slug, "placement": one.placement_id, "server": one.server, "reason": outcome.failure}
