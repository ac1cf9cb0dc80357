"""The operator's commands for one member of a workspace. The work is elsewhere."""

import click

from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from .commands import operator_name
from .opening import open_home
from .reset_factors import reset_factors as reset_all


@click.group(cls=Group)
def member() -> None:
    """People in a workspace whom nobody in it can help."""


@member.command(
    name="reset-factors",
    example='strongroom member reset-factors acme anna@acme.example --reason "request 4711, called back" --yes',
)
@click.argument("slug")
@click.argument("email")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for both audit logs; no e-mail address.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def reset_factors(invocation: Invocation, slug: str, email: str, reason: str, *, yes: bool) -> None:
    """Take app, passkeys and recovery codes of a member away who has lost them, and end the member's sessions.

    First make sure who asks: the password alone opens the account after that. The member is told by mail, and the
    workspace's audit log says so. Where another Owner is left, the members page does the same.
    """
    with open_home(invocation.settings) as platform:
        consequence = f"“{email}” signs in to “{slug}” with the password alone until a new factor is set up."
        invocation.confirm(slug, consequence, yes=yes)
        member_id = reset_all(platform, slug, email, reason, operator_name())
    row = {"slug": slug, "member": str(member_id)}
    invocation.output.done(f"The second factors of “{email}” in “{slug}” are gone, and the sessions ended.", row)
