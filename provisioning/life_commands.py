"""The commands that give a workspace another address, and its owner another link. The work is elsewhere."""

import click

from ..platform.console.commands import Command, pass_invocation
from ..platform.console.invocation import Invocation
from .commands import operator_name, tenant_row
from .invite_again import invite_again
from .opening import open_home
from .rename import rename as rename_workspace


@click.command(cls=Command, example="strongroom tenant rename acme acme-group --yes")
@click.argument("slug")
@click.argument("new_slug")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def rename(invocation: Invocation, slug: str, new_slug: str, *, yes: bool) -> None:
    """Give the workspace SLUG the address NEW_SLUG. The old address answers 404 at once and is free for others.

    Members sign in again, because their sessions belong to the old address. Links in letters sent before lead nowhere.
    """
    with open_home(invocation.settings) as platform:
        consequence = f"Links to “{slug}” will lead nowhere, and its members sign in again at “{new_slug}”."
        invocation.confirm(slug, consequence, yes=yes)
        renamed = rename_workspace(platform, slug, new_slug, operator_name())
    row = tenant_row(invocation.settings, renamed)
    invocation.output.done(f"“{slug}” is now at {row['url']}; its members sign in again there.", row)


@click.command(cls=Command, example="strongroom tenant invite acme")
@click.argument("slug")
@pass_invocation
def invite(invocation: Invocation, slug: str) -> None:
    """Invite the owner of SLUG once more, who has not signed up, and print the link. Older links end.

    For a letter that was lost, or an invitation whose 30 days are over.
    """
    with open_home(invocation.settings) as platform:
        found, link = invite_again(platform, slug, operator_name())
    invocation.output.record(tenant_row(invocation.settings, found) | {"invitation": link})
