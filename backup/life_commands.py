"""Commands that copy a workspace as a whole: to another server, or to a new workspace. The work is elsewhere."""

import click

from ..platform.console.commands import Command, pass_invocation
from ..platform.console.invocation import Invocation
from ..provisioning.commands import operator_name, tenant_row
from ..provisioning.opening import open_home
from .clone import Wish
from .clone import clone as clone_workspace
from .move import move as move_workspace
from .output import spoken_progress


@click.command(cls=Command, example="strongroom tenant move acme --server pg-2")
@click.argument("slug")
@click.option("--server", "server_name", required=True, metavar="NAME", help="A server of the workspace's region.")
@pass_invocation
def move(invocation: Invocation, slug: str, server_name: str) -> None:
    """Move a workspace to another server of its region.

    Its members wait (503) while its rows are copied and compared. The old database is kept, closed, for a week. After
    a move that was killed, repeat it, or open the workspace where it was with `strongroom tenant resume`.
    """
    with open_home(invocation.settings) as platform, spoken_progress(invocation, f"Moving {slug}") as progress:
        done = move_workspace(platform, slug, server_name, operator=operator_name(), progress=progress)
        row = tenant_row(invocation.settings, done.tenant)
    row |= {"rows": done.rows, "retired_placement": done.retired, "closed_seconds": round(done.closed, 2)}
    if done.retired is None:
        invocation.output.done(f"“{slug}” lives on {server_name} already.", row)
    else:
        sentence = f"“{slug}” now lives on {server_name} ({done.rows} rows; closed for {done.closed:.1f} s)."
        invocation.output.done(sentence, row)


@click.command(
    cls=Command, example="strongroom tenant clone acme acme-trial --name 'Acme (trial)' --owner ann@acme.example"
)
@click.argument("slug")
@click.argument("new_slug")
@click.option("--name", help="Name of the new workspace [the original's, and that it is a copy].")
@click.option("--owner", metavar="EMAIL", help="Whom to invite as its owner, beside the members that it gets.")
@pass_invocation
def clone(invocation: Invocation, slug: str, new_slug: str, name: str | None, owner: str | None) -> None:
    """Make the workspace NEW_SLUG from what SLUG holds now, which is served meanwhile.

    The copy is sealed under keys of its own. Members and their passwords come along; sessions, open invitations and
    mail that waits do not.
    """
    settings = invocation.settings
    with open_home(settings) as platform, spoken_progress(invocation, f"Cloning {slug}") as progress:
        wish = Wish(new_slug, name, owner)
        done = clone_workspace(platform, slug, wish, operator=operator_name(), progress=progress)
        row = tenant_row(settings, done.tenant) | {"rows": done.rows, "owner_invited": done.invited}
    invocation.output.done(f"“{new_slug}” is a copy of “{slug}” ({done.rows} rows): {row['url']}", row)
