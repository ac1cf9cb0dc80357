"""The operator's commands around keys and logins. They parse, call, and print; the work is elsewhere."""

import click

from ..config.errors import CallError
from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.control.platform import Platform
from ..platform.keys import PlatformKeys, peppers
from ..platform.keys.passwords import pepper_id
from ..platform.tenants import queries as tenants
from . import peppers as rotation
from .commands import operator_name, tenant_row
from .opening import open_home
from .rotate import rotate_login


@click.group(cls=Group)
def key() -> None:
    """Keys and logins: rotate, status."""


@key.command(
    example="strongroom key rotate acme\nstrongroom key rotate --pepper\nstrongroom key rotate --retire-pepper 1f00c3d2"
)
@click.argument("slug", required=False)
@click.option("--pepper", is_flag=True, help="Replace the pepper of all password hashes; earlier ones go on working.")
@click.option("--retire-pepper", metavar="ID", help="Forget an earlier pepper for good; `key status` lists them.")
@click.option("--yes", is_flag=True, help="With --retire-pepper: do not ask.")
@pass_invocation
def rotate(invocation: Invocation, slug: str | None, retire_pepper: str | None, *, pepper: bool, yes: bool) -> None:
    """Replace the login of a workspace's database while it is in use, or the pepper of all password hashes.

    The server refuses the old login from then on. PgBouncer has to learn the new one: `server pooler run` sees to that
    within a second or two, elsewhere call `server pooler config` again.

    A fresh pepper is used from the next sign-in on; each member's hash is renewed at their next right password. Who has
    not signed in since has to choose a new password once the earlier pepper is retired.

    What was killed is finished by repeating it.
    """
    if [slug is not None, pepper, retire_pepper is not None].count(True) != 1:
        raise CallError("Name one of: a workspace, --pepper, --retire-pepper ID.")
    with open_home(invocation.settings) as platform:
        if slug is not None:
            _rotate_login(invocation, platform, slug)
        elif retire_pepper is not None:
            _retire(invocation, platform, retire_pepper, yes=yes)
        else:
            keys = rotation.rotate(platform, operator_name())
            invocation.output.done(
                f"New password hashes are made with the pepper {pepper_id(keys.pepper)}.", _row(keys)
            )


@key.command(example="strongroom key status\nstrongroom key status --members --json")
@click.option("--members", is_flag=True, help="Ask every workspace how many members still need an earlier pepper.")
@pass_invocation
def status(invocation: Invocation, *, members: bool) -> None:
    """Show which keys the platform has, by their ids: master key, pepper of new hashes, earlier peppers."""
    with open_home(invocation.settings) as platform:
        keys = platform.keys.platform()
        row: dict[str, object] = {"master_key": platform.keys.master_id, **_row(keys)}
        row["workspaces_with_keys"] = len(platform.keys.tenant_ids())
        if members:
            found = {name: rotation.holders(platform, name) for name in map(pepper_id, keys.earlier_peppers)}
            row["members_of_earlier_peppers"] = {name: one.members for name, one in found.items()}
            row["workspaces_not_asked"] = sorted({slug for one in found.values() for slug in one.unknown})
    invocation.output.record(row)


def _rotate_login(invocation: Invocation, platform: Platform, slug: str) -> None:
    with platform.control.connect() as conn:
        found = tenants.by_slug(conn, slug)
    rotated = rotate_login(platform, found, operator_name())
    row = tenant_row(invocation.settings, rotated)
    invocation.output.done(f"The database of “{slug}” has a new login, and refuses the old one.", row)


def _retire(invocation: Invocation, platform: Platform, pepper: str, *, yes: bool) -> None:
    peppers.earlier_pepper(platform.keys, pepper)
    found = rotation.holders(platform, pepper)
    if found.members or found.unknown:
        invocation.confirm(pepper, _consequence(found), yes=yes)
    keys = rotation.retire(platform, pepper, operator_name())
    row = _row(keys) | {"members_without_password": found.members}
    invocation.output.done(f"The pepper {pepper} is forgotten.", row)


def _consequence(found: rotation.Holders) -> str:
    people = f"{found.members} members have to choose a new password, by the link of a mail."
    if not found.unknown:
        return people
    return f"{people} These workspaces could not be asked: {', '.join(found.unknown[:10])}."


def _row(keys: PlatformKeys) -> dict[str, object]:
    return {"pepper": pepper_id(keys.pepper), "earlier_peppers": [pepper_id(one) for one in keys.earlier_peppers]}
