"""`isolation verify` on the command line."""

import click

from ..config.errors import NotFoundError
from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from .isolation.history import results
from .isolation.verify import verify_isolation
from .opening import open_home
from .verdict import print_verdict

_COLUMNS = ("at", "passed", "tenants", "attacked", "attempts", "blocked")


@click.group(cls=Group)
def isolation() -> None:
    """Proof that workspaces are apart."""


@isolation.command(example="strongroom isolation verify --live 2 --json")
@click.option("--live", type=click.IntRange(min=0), default=0, metavar="N", help="Attack N workspaces for real.")
@pass_invocation
def verify(invocation: Invocation, live: int) -> None:
    """Check grants, roles and rules of all workspaces. Exit code 5 and a list if anything got through."""
    with (
        open_home(invocation.settings) as platform,
        invocation.output.progress("Verifying isolation") as advance,
    ):
        report = verify_isolation(platform, live, advance)
    if report.blocked and not invocation.as_json:
        invocation.output.table(report.layers(), {"group": "ATTACKS", "layer": "STOPPED BY", "blocked": "COUNT"}, "")
    print_verdict(invocation, report.as_json(), report.sentence(), report.problems())


@isolation.command(example="strongroom isolation show --json")
@pass_invocation
def show(invocation: Invocation) -> None:
    """Show the last result: when it was verified, what was tried, what was found. The worker verifies once a day."""
    with open_home(invocation.settings) as platform, platform.control.connect() as conn:
        last = results(conn, 1)
    if not last:
        raise NotFoundError("Isolation was never verified here; run: strongroom isolation verify")
    invocation.output.record(last[0], {key: key for key in (*_COLUMNS, "problems")})


@isolation.command(example="strongroom isolation history --limit 30")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, metavar="N", help="At most N results [20].")
@pass_invocation
def history(invocation: Invocation, limit: int) -> None:
    """List the results of earlier verifications, the newest first."""
    with open_home(invocation.settings) as platform, platform.control.connect() as conn:
        rows = results(conn, limit)
    headings = {key: key.upper() for key in _COLUMNS}
    invocation.output.table(rows, headings, "Isolation was never verified here; run: strongroom isolation verify")
