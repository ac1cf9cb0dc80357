"""Commands about how often backups are made and how long they are kept. The work is elsewhere."""

from typing import Any

import click

from ..config.errors import CallError
from ..platform.console.commands import Command, pass_invocation
from ..platform.console.invocation import Invocation
from ..provisioning.commands import operator_name
from ..provisioning.opening import open_home
from . import policy as policies
from .output import backup_row, spoken_progress
from .policy import ANY, PlanPolicy
from .prune import Pruned, plan_pruning
from .prune import prune as prune_backups

_POLICY = {
    "plan": "PLAN",
    "interval_hours": "EVERY (H)",
    "window": "HOURS (UTC)",
    "days": "DAYS",
    "weekly": "WEEKLY",
    "monthly": "MONTHLY",
    "yearly": "YEARLY",
    "own": "OF ITS OWN",
}
_PRUNED = {
    "id": "BACKUP",
    "tenant": "WORKSPACE",
    "state": "STATE",
    "started_at": "STARTED",
    "bytes": "BYTES",
    "why": "WHY",
}


@click.command(
    cls=Command,
    example="strongroom backup policy\n"
    "strongroom backup policy team --interval 4 --days 90 --monthly 12\n"
    "strongroom backup policy free --window 22-05 --default interval",
)
@click.argument("plan", required=False)
@click.option("--interval", type=click.IntRange(1, 24), metavar="H", help="Hours between two backups.")
@click.option("--days", type=click.IntRange(1, 3650), metavar="N", help="All backups of so many days are kept.")
@click.option("--weekly", type=click.IntRange(0, 520), metavar="N", help="Then the newest of so many weeks.")
@click.option("--monthly", type=click.IntRange(0, 120), metavar="N", help="And of so many months.")
@click.option("--yearly", type=click.IntRange(0, 100), metavar="N", help="And of so many years.")
@click.option("--window", metavar="HH-HH|any", help="Hours (UTC) in which backups are taken; daily whatever it says.")
@click.option(
    "--default", "defaults", type=click.Choice(policies.SETTABLE), multiple=True, help="Back to the settings' value."
)
@click.option("--yes", is_flag=True, help="Do not ask where less is to be kept.")
@pass_invocation
def policy(
    invocation: Invocation, plan: str | None, *, defaults: tuple[str, ...], yes: bool, **changes: int | str | None
) -> None:
    """Show how often each plan's workspaces are backed up and how long that is kept; or change it for PLAN.

    Only verified backups count, and the last one always stays. What a plan does not set is what strongroom.toml says.
    """
    wanted = {name: value for name, value in changes.items() if value is not None}
    if plan is None and (wanted or defaults):
        raise CallError("Name the plan; what all plans start from stands in strongroom.toml.")
    with open_home(invocation.settings) as platform:
        if plan is not None and (wanted or defaults):
            (before,) = policies.policies(platform, plan)
            after = policies.planned(platform, plan, wanted, defaults)
            if policies.keeps_less(before.policy, after.policy):
                invocation.confirm(plan, f"Backups of “{plan}” that are then too old are removed soon.", yes=yes)
            policies.change(platform, plan, wanted, defaults, operator=operator_name())
        rows = [_policy_row(one) for one in policies.policies(platform, plan)]
    invocation.output.table(rows, _POLICY, "")


@click.command(cls=Command, example="strongroom backup prune --dry-run\nstrongroom backup prune acme --yes")
@click.argument("slug", required=False)
@click.option("--dry-run", is_flag=True, help="Only list what would go, and why.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def prune(invocation: Invocation, slug: str | None, *, dry_run: bool, yes: bool) -> None:
    """Remove the backups that have had their time, as the worker does every hour; of one workspace or of all.

    A workspace's last verified backup stays whatever its age.
    """
    with open_home(invocation.settings) as platform:
        pruned = plan_pruning(platform, slug=slug)
        if not dry_run and pruned:
            invocation.confirm(slug or "all", f"{len(pruned)} backups are removed for good.", yes=yes)
            with spoken_progress(invocation, "Pruning") as progress:
                pruned = prune_backups(platform, slug=slug, progress=progress)
    invocation.output.table([_pruned_row(one) for one in pruned], _PRUNED, "No backup has had its time.")


def _policy_row(one: PlanPolicy) -> dict[str, Any]:
    found = one.policy
    return {
        "plan": one.plan,
        "interval_hours": int(found.interval.total_seconds() // 3600),
        "window": str(found.window or ANY),
        "days": found.days,
        "weekly": found.weekly,
        "monthly": found.monthly,
        "yearly": found.yearly,
        "own": list(one.own),
        "alarm_after_hours": found.alarm_after.total_seconds() / 3600,
    }


def _pruned_row(one: Pruned) -> dict[str, Any]:
    return backup_row(one.backup) | {"why": one.why}
