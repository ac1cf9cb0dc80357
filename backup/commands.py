"""The operator's commands around backups. They parse, call, and print; the work is elsewhere."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from ..config.errors import CallError, FailedError, VerificationError
from ..platform.console.commands import Group, LaterCommands, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.control.platform import Platform
from ..platform.tenants import queries as tenants
from ..provisioning.commands import operator_name, tenant_row
from ..provisioning.opening import open_home
from . import runs
from .archive.commands import base, window
from .archive.moment import parse_moment, restore_at
from .copies import replicate
from .keycopies import sync
from .progress import Event, Progress
from .records import Backup
from .restore import restore as restore_tenant
from .runs import Outcome

_LISTED = {
    "id": "BACKUP",
    "tenant": "WORKSPACE",
    "state": "STATE",
    "started_at": "STARTED",
    "bytes": "BYTES",
}


@click.group(cls=Group)
def backup() -> None:
    """Backups: run, list, show, verify, restore."""


@backup.command(
    example="strongroom backup run acme\nstrongroom backup run --due",
)
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--due", is_flag=True, help="Whatever is due now, as the worker does.")
@click.option("--all", "everything", is_flag=True, help="Every workspace, then the control database and key store.")
@click.option("--parallel", type=click.IntRange(1, 32), default=runs.PARALLEL, show_default=True, metavar="N")
@pass_invocation
def run(invocation: Invocation, slugs: tuple[str, ...], *, due: bool, everything: bool, parallel: int) -> None:
    """Back up workspaces now, and prove each backup by a restore into a scratch server.

    A workspace that has not changed since its last verified backup is recorded as unchanged. Where the settings name
    several stores, the backups are then copied to the others.
    """
    if bool(slugs) + due + everything != 1:
        raise CallError("Say which: one or more workspaces, or --due, or --all.")
    with open_home(invocation.settings) as platform, spoken_progress(invocation, "Backing up") as progress:
        outcomes = _run(platform, slugs, due=due, parallel=parallel, progress=progress)
        sync(platform)
        copied = replicate(platform)
    for failure in copied.failures.values():
        invocation.output.say(f"Not copied to another store yet, and tried again later: {failure}")
    _print_outcomes(invocation, outcomes, "Nothing is due.")


@backup.command(name="list", example="strongroom backup list acme --json")
@click.argument("slug", required=False)
@pass_invocation
def list_(invocation: Invocation, slug: str | None) -> None:
    """List backups, newest first, of one workspace or of everything."""
    with open_home(invocation.settings) as platform:
        rows = [backup_row(one) for one in runs.list_backups(platform, slug)]
    invocation.output.table(rows, _LISTED, "There are no backups yet; take some with `strongroom backup run --all`.")


@backup.command(example="strongroom backup show 20260301-120000-abcdefgh")
@click.argument("backup_id", metavar="ID")
@pass_invocation
def show(invocation: Invocation, backup_id: str) -> None:
    """Show one backup with the manifest that its restore must reproduce."""
    with open_home(invocation.settings) as platform:
        one = runs.show_backup(platform, backup_id)
    row = backup_row(one) | {
        "placement_id": one.placement_id,
        "receipts": one.receipts,
        "unchanged_since": one.unchanged_since,
        "verified_at": one.verified_at,
        "failure": one.failure,
        "manifest": one.manifest,
    }
    invocation.output.record(row, {key: key.replace("_", " ") for key in row if key != "manifest"})


@backup.command(example="strongroom backup verify --all")
@click.argument("backup_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every backup that is kept.")
@pass_invocation
def verify(invocation: Invocation, backup_id: str | None, *, everything: bool) -> None:
    """Restore a backup into a scratch server again and compare. Exit code 5 if one is not what it should be."""
    if bool(backup_id) == everything:
        raise CallError("Say which: the id of a backup, or --all.")
    with open_home(invocation.settings) as platform, spoken_progress(invocation, "Verifying") as progress:
        if backup_id:
            one = runs.verify_one(platform, backup_id)
            outcomes = [Outcome(one.tenant_id, one.label, one, None)]
        else:
            outcomes = runs.verify_all(platform, progress=progress)
    _print_outcomes(invocation, outcomes, "There are no backups to verify.")


backup.add_command(base)
backup.add_command(window)


@backup.command(
    example="strongroom backup restore acme --yes\nstrongroom backup restore acme --as acme-in-march\n"
    "strongroom backup restore acme --at 2026-03-01T17:44:59+00:00",
)
@click.argument("slug")
@click.option("--backup", "backup_id", metavar="ID", help="Which backup [the newest verified one].")
@click.option("--at", metavar="TIME", help="Any second of the last days instead of a backup, as RFC 3339 with offset.")
@click.option("--as", "as_slug", metavar="NEW_SLUG", help="Make it a new workspace; SLUG stays as it is.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def restore(
    invocation: Invocation, slug: str, backup_id: str | None, at: str | None, as_slug: str | None, *, yes: bool
) -> None:
    """Restore a backup into a new database, prove it there, then switch the workspace to it.

    With --at, instead of a backup, how it was at that second, exact to the transaction (`strongroom backup window`
    shows which can be had). What was entered afterwards is then no longer shown; the database of before is kept,
    closed, for a week.
    """
    settings = invocation.settings
    if at is not None:
        if backup_id is not None:
            raise CallError("Say --backup or --at, not both.")
        _restore_at(invocation, slug, parse_moment(at), as_slug, yes=yes)
        return
    with open_home(settings) as platform:
        with platform.control.connect() as conn:
            tenants.by_slug(conn, slug)
        if as_slug is None:
            invocation.confirm(slug, f"“{slug}” goes back to the time of its backup.", yes=yes)
        with spoken_progress(invocation, f"Restoring {slug}") as progress:
            done = restore_tenant(
                platform, slug, backup_id, as_slug=as_slug, operator=operator_name(), progress=progress
            )
        row = tenant_row(settings, done.tenant) | {
            "backup": done.backup.id,
            "backup_started_at": done.backup.started_at,
            "rows": done.rows,
            "receipts": done.receipts,
            "retired_placement": done.retired,
            "seconds": round(done.seconds, 2),
        }
    sentence = (
        f"“{done.tenant.slug}” now shows the backup {done.backup.id} ({done.rows} rows, {done.receipts} receipts; "
        f"{done.seconds:.1f} s): {row['url']}"
    )
    invocation.output.done(sentence, row)


def _restore_at(invocation: Invocation, slug: str, at: datetime, as_slug: str | None, *, yes: bool) -> None:
    with open_home(invocation.settings) as platform:
        with platform.control.connect() as conn:
            tenants.by_slug(conn, slug)
        if as_slug is None:
            invocation.confirm(slug, f"“{slug}” goes back to {at.isoformat()}.", yes=yes)
        with spoken_progress(invocation, f"Restoring {slug}") as progress:
            done = restore_at(platform, slug, at, as_slug=as_slug, operator=operator_name(), progress=progress)
    row = tenant_row(invocation.settings, done.tenant) | {
        "at": done.at,
        "rows": done.rows,
        "receipts": done.receipts,
        "retired_placement": done.retired,
        "seconds": round(done.seconds, 2),
    }
    sentence = (
        f"“{done.tenant.slug}” now shows {at.isoformat()} ({done.rows} rows, {done.receipts} receipts; "
        f"{done.seconds:.1f} s): {row['url']}"
    )
    invocation.output.done(sentence, row)


def backup_row(one: Backup) -> dict[str, Any]:
    """What the command line says about a backup."""
    return {
        "id": one.id,
        "tenant": one.label,
        "kind": one.kind,
        "state": one.state,
        "started_at": one.started_at,
        "finished_at": one.finished_at,
        "bytes": one.size,
        "sha256": one.sha256,
        "object": one.object,
        "schema_revision": one.schema_revision,
    }


def _run(platform: Platform, slugs: Sequence[str], *, due: bool, parallel: int, progress: Progress) -> list[Outcome]:
    if slugs:
        with platform.control.connect() as conn:
            ids = [tenants.by_slug(conn, slug).id for slug in slugs]
        return runs.run_many(platform, ids, parallel=parallel, progress=progress)
    if due:
        return runs.run_due(platform, parallel=parallel, progress=progress)
    return runs.run_all(platform, parallel=parallel, progress=progress)


@contextmanager
def spoken_progress(invocation: Invocation, title: str) -> Generator[Progress]:
    """Show the events of the block as progress on standard error."""
    with invocation.output.progress(title) as advance:
        yield _spoken(advance)


def _spoken(advance: Callable[[str], None]) -> Progress:
    def progress(event: Event) -> None:
        advance(f"{event.subject}: {event.step} ({event.number} of {event.total})")

    return progress


def _print_outcomes(invocation: Invocation, outcomes: Sequence[Outcome], empty: str) -> None:
    """Print what became of each. Raises `VerificationError` or `FailedError` after that if something went wrong."""
    rows = [_outcome_row(outcome) for outcome in outcomes]
    invocation.output.table(rows, _LISTED | {"failure": "FAILURE"}, empty)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors:
        kind = VerificationError if any(isinstance(error, VerificationError) for error in errors) else FailedError
        raise kind(f"{len(errors)} of {len(outcomes)} failed; the first: {errors[0]}")


def _outcome_row(outcome: Outcome) -> dict[str, Any]:
    if outcome.backup is not None:
        return backup_row(outcome.backup) | {"failure": None}
    nothing = dict.fromkeys(
        ("id", "kind", "started_at", "finished_at", "bytes", "sha256", "object", "schema_revision"), None
    )
    return nothing | {"tenant": outcome.label, "state": "failed", "failure": str(outcome.error)}


backup.commands = LaterCommands(
    __package__ or "strongroom.backup",
    {"recover": ".recover_command:recover_command", "identity": ".recover_command:identity_command"},
    backup.commands,
)
