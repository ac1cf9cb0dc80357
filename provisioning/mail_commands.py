"""The operator's commands around mail. They parse, call, and print; the work is elsewhere."""

from dataclasses import asdict
from uuid import UUID

import click

from ..config.errors import CallError
from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.keys.emails import normalise_email
from ..platform.mail.operators import write_to
from ..platform.mail.unsent import listing
from ..platform.mail.unsent import retry as send_again
from ..tenant_schema.ids import new_uuid7
from .opening import open_home

_COLUMNS = {
    "id": "ID",
    "workspace": "WORKSPACE",
    "to": "TO",
    "state": "STATE",
    "attempts": "TRIES",
    "written_at": "WRITTEN",
    "next_at": "NEXT TRY",
    "error": "WHY",
}
_BODY = """\
This message was sent to find out whether mail from this installation arrives.

If you read it, the settings about mail are right. Nothing has to be done.
"""


@click.group(cls=Group)
def mail() -> None:
    """Mail: test the settings, see what has not gone out, send it again."""


@mail.command(example="strongroom mail test you@example.com")
@click.argument("address")
@pass_invocation
def test(invocation: Invocation, address: str) -> None:
    """Send a test message, now, and say what the mail server answered."""
    settings, recipient = invocation.settings, normalise_email(address)
    message_id = f"test-{new_uuid7()}"
    write_to(settings, recipient, message_id, "A test message of Strongroom", _BODY)
    if settings.smtp_host:
        sentence = f"{settings.smtp_host} has taken a message from {settings.sender} for {recipient}."
    else:
        sentence = f"No mail server is configured; the message is {settings.outbox_dir / f'{message_id}.eml'}."
    row = {"to": recipient, "from": settings.sender, "server": settings.smtp_host or None, "id": message_id}
    invocation.output.done(sentence, row)


@mail.command(name="list", example="strongroom mail list\nstrongroom mail list --failed --json")
@click.option("--failed", is_flag=True, help="Only what is not tried again by itself.")
@pass_invocation
def list_unsent(invocation: Invocation, *, failed: bool) -> None:
    """List the messages that have not gone out.

    “failed”: the mail server will not have it, or a day of tries is over. “unknown”: delivery ended between the last
    byte and the server's answer, so it may have arrived; it is not sent again unless you say so.
    """
    with open_home(invocation.settings) as platform:
        rows = [asdict(one) for one in listing(platform) if not failed or one.state in ("failed", "unknown")]
    invocation.output.table(rows, _COLUMNS, "All mail is out.")


@mail.command(example="strongroom mail retry --all\nstrongroom mail retry 019b2f3c-7a55-7d1e-8a53-2f0b7b0f7a11")
@click.argument("ids", nargs=-1, type=click.UUID, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All that have failed.")
@pass_invocation
def retry(invocation: Invocation, ids: tuple[UUID, ...], *, every: bool) -> None:
    """Send failed messages again. Their Message-ID stays: of two that arrive, mail programs show one."""
    if bool(ids) == every:
        raise CallError("Name the messages by their ids, or say --all.")
    with open_home(invocation.settings) as platform:
        again = send_again(platform, None if every else list(ids))
    count = f"{len(again)} message{'' if len(again) == 1 else 's'}"
    invocation.output.done(f"{count} will be sent again.", {"again": again})
