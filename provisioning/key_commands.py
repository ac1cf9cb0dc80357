"""The operator's commands around keys and logins. They parse, call, and print; the work is elsewhere."""

import click

from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.tenants import queries as tenants
from .commands import operator_name, tenant_row
from .opening import open_home
from .rotate import rotate_login


@click.group(cls=Group)
def key() -> None:
    """Keys and logins: rotate."""


@key.command(example="strongroom key rotate acme")
@click.argument("slug")
@pass_invocation
def rotate(invocation: Invocation, slug: str) -> None:
    """Replace the login of a workspace's database while it is in use; the server refuses the old one from then on.

    A rotation that was killed is finished by repeating it. PgBouncer has to learn the new login: `server pooler run`
    sees to that within a second or two, elsewhere call `server pooler config` again.
    """
    with open_home(invocation.settings) as platform:
        with platform.control.connect() as conn:
            found = tenants.by_slug(conn, slug)
        rotated = rotate_login(platform, found, operator_name())
    row = tenant_row(invocation.settings, rotated)
    invocation.output.done(f"The database of “{slug}” has a new login, and refuses the old one.", row)
