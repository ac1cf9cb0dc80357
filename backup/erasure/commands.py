"""Commands that erase: an account with a certificate, or one person. The work is elsewhere."""

import json
from pathlib import Path
from typing import Any

import click

from ...config.errors import CallError, NotFoundError
from ...platform.console.commands import Command, pass_invocation
from ...platform.console.invocation import Invocation
from ...platform.console.output import plain
from ...platform.control.platform import Platform
from ...platform.tenants import queries as tenants
from ...platform.tenants.records import Tenant
from ...provisioning.commands import operator_name
from ...provisioning.opening import open_home
from ..commands import spoken_progress
from .certificate import verify
from .erase import certificate_of
from .erase import erase as erase_account
from .forget import forget as forget_person
from .pdf import write_pdf
from .records import Certificate


@click.command(cls=Command, example="strongroom tenant erase acme\nstrongroom tenant erase acme --yes --json")
@click.argument("slug", metavar="SLUG_OR_ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def erase(invocation: Invocation, slug: str, *, yes: bool) -> None:
    """Erase an account for good: databases, keys, backups and receipts, in all stores; then print the certificate.

    Nobody can undo it. After an interruption repeat the command; the worker goes on with it, too.
    """
    with open_home(invocation.settings) as platform:
        found = _holder(platform, slug)
        finished = certificate_of(platform, found.id)  # not by the address, which somebody else may have had before
        if finished is None:
            consequence = f"Everything that “{found.slug}” has, and every backup of it, will be unreadable for good."
            invocation.confirm(found.slug, consequence, yes=yes)
        with spoken_progress(invocation, f"Erasing {slug}") as progress:
            made = finished or erase_account(platform, slug, operator_name(), progress)
    invocation.output.done(_sentence(made), dict(made.document))


@click.command(
    cls=Command,
    example="strongroom tenant certificate mfqwcylbmfqwcylb --pdf erased.pdf\n"
    "strongroom tenant certificate --verify erased.json",
)
@click.argument("word", metavar="[SLUG_OR_ID]", required=False)
@click.option("--pdf", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it as a PDF.")
@click.option(
    "--verify",
    "to_verify",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE.json",
    help="Check that a certificate is ours and unchanged; exit code 5 if not.",
)
@pass_invocation
def certificate(invocation: Invocation, word: str | None, pdf: Path | None, to_verify: Path | None) -> None:
    """Show the certificate of an erased account, write it to a file, or check one."""
    if (word is None) == (to_verify is None):
        raise CallError("Name the account (an erased one by its id), or a file with --verify.")
    with open_home(invocation.settings) as platform:
        found = _verified(platform, to_verify) if to_verify else _finished(platform, word or "")
    if pdf:
        write_pdf(found, pdf)
        invocation.output.say(f"Written to {pdf}.")
    sentence = f"The certificate {found.number} is ours and unchanged." if to_verify else _sentence(found)
    invocation.output.done(sentence, dict(found.document))


@click.command(cls=Command, example="strongroom tenant forget acme anna@acme.example --yes")
@click.argument("slug")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def forget(invocation: Invocation, slug: str, email: str, *, yes: bool) -> None:
    """Erase one person from the workspace SLUG, which goes on. Their expenses and receipts stay as its records.

    Name, e-mail address, password, sessions, invitations and letters go, now and in whatever is restored later.
    """
    with open_home(invocation.settings) as platform:
        invocation.confirm(slug, f"“{email}” will be erased from “{slug}” for good.", yes=yes)
        done = forget_person(platform, slug, email, operator_name())
    row: dict[str, Any] = {"slug": slug, "members": [str(one) for one in done.ids], "letters": done.letters}
    row |= {"in_backups_until": done.in_backups_until}
    until = plain(done.in_backups_until)
    invocation.output.done(f"Erased from “{slug}”. Backups made before hold the person until {until}.", row)


def _holder(platform: Platform, word: str) -> Tenant:
    with platform.control.connect() as conn:
        return tenants.holder(conn, word)


def _finished(platform: Platform, word: str) -> Certificate:
    found = certificate_of(platform, word)
    if found is None:
        raise NotFoundError(f"“{word}” has no certificate: the account is not erased, or not to the end.")
    return found


def _verified(platform: Platform, path: Path) -> Certificate:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise CallError(f"{path} is not JSON; what is checked is the file that `--json` gives.") from error
    return verify(document, platform.keys.platform())


def _sentence(made: Certificate) -> str:
    document, account = made.document, made.account
    objects = sum(len(store["objects"]) + store["receipts"]["count"] for store in document["stores"])
    lines = [
        f"“{account['slug']}” ({account['name']}) is erased; certificate {made.number}.",
        f"  account          {account['id']}",
        f"  finished         {document['finished_at']}",
        f"  databases        {len(document['databases'])}",
        f"  key objects      {len(document['keys'])}",
        f"  stored objects   {objects}, and {document['receipts']['count']} receipts",
        f"  last log key     {document['last_log_key_destroyed_at'] or 'none'}",
        f"As a PDF: strongroom tenant certificate {account['id']} --pdf FILE",
    ]
    return "\n".join(lines)
