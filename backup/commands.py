"""The operator's commands around backups. They parse, call, and print; the work is elsewhere."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from ..config.errors import CallError, FailedError, StrongroomError, VerificationError
from ..platform.console.commands import Group, LaterCommands, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.control.platform import Platform
from ..platform.tenants import queries as tenants
from ..provisioning.commands import operator_name, tenant_row
from ..provisioning.opening import open_home
from . import alarms, runs, scrub
from .archive.commands import base, window
from .archive.moment import parse_moment, restore_at
from .copies import replicate
from .keycopies import sync
from .output import LISTED, backup_row, spoken_progress
from .progress import Progress
from .records import BackupState
from .restore import restore as restore_tenant
from .runs import Outcome
from .scrub import Checked

_KEYS = (
    *("id", "kind", "started_at", "finished_at", "bytes", "sha256", "object", "schema_revision", "receipts_lost"),
    "store",
)
_VERIFIED = LISTED | {"store": "STORE", "failure": "FAILURE"}


@click.group(cls=Group)
def backup() -> None:
    """Backups: run, list, show, verify, restore."""


@backup.command(
    example="strongroom backup run acme\nstrongroom backup run --due",
)
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--due", is_flag=True, help="Whatever is due now, as the worker does.")
@click.option("--all", "everything", is_flag=True, help="Every workspace, then the control database and key store.")
@click.option("--parallel", type=click.IntRange(1, 32), metavar="N", help="So many at once [backup_parallel].")
@pass_invocation
def run(invocation: Invocation, slugs: tuple[str, ...], *, due: bool, everything: bool, parallel: int | None) -> None:
    """Back up workspaces now, and prove each backup by a restore into a scratch server.

    A workspace that has not changed since its last verified backup is recorded as unchanged. Where the settings name
    several stores, the backups are then copied to the others. Exit code 5 if a backup failed its verification, or lacks
    receipts that were lost before it could copy them; the rest of it is good.
    """
    if bool(slugs) + due + everything != 1:
        raise CallError("Say which: one or more workspaces, or --due, or --all.")
    at_once = parallel or invocation.settings.backup_parallel
    with open_home(invocation.settings) as platform:
        with spoken_progress(invocation, "Backing up") as progress:
            outcomes = _run(platform, slugs, due=due, parallel=at_once, progress=progress)
        sync(platform)
        copied = replicate(platform)
        _tell_of_bad_ones(platform, outcomes)
    for failure in copied.failures.values():
        invocation.output.say(f"Not copied to another store yet, and tried again later: {failure}")
    _print_outcomes(invocation, outcomes, "Nothing is due.")
    _refuse_lost_receipts(outcomes)


@backup.command(name="list", example="strongroom backup list acme --json\nstrongroom backup list --limit 20")
@click.argument("slug", required=False)
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, metavar="N", help="The newest N.")
@click.option("--before", metavar="ID", help="Only those that began before this one: the next page.")
@pass_invocation
def list_(invocation: Invocation, slug: str | None, limit: int, before: str | None) -> None:
    """List backups, newest first, of one workspace or of everything."""
    with open_home(invocation.settings) as platform:
        rows = [backup_row(one) for one in runs.list_backups(platform, slug, limit, before)]
    invocation.output.table(rows, LISTED, "There are no backups yet; take some with `strongroom backup run --all`.")


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
        "receipts_lost": one.receipts_lost,
        "unchanged_since": one.unchanged_since,
        "verified_at": one.verified_at,
        "failure": one.failure,
        "manifest": one.manifest,
    }
    invocation.output.record(row, {key: key.replace("_", " ") for key in row if key != "manifest"})


@backup.command(
    example="strongroom backup verify 20260301-120000-abcdefgh\n"
    "strongroom backup verify --all --rate 20\n"
    "strongroom backup verify --all --restore"
)
@click.argument("backup_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Read every copy in every store again; restore new ones.")
@click.option(
    "--restore", "by_restore", is_flag=True, help="With --all: restore every backup again, which takes longer."
)
@click.option("--rate", type=click.FloatRange(0.001), metavar="MB/S", help="With --all: read at most so much [50].")
@pass_invocation
def verify(
    invocation: Invocation, backup_id: str | None, *, everything: bool, by_restore: bool, rate: float | None
) -> None:
    """Prove again that backups are what they should be. Exit code 5 if one is not.

    With ID the backup is restored into a scratch server and compared. With --all every copy is read and hashed where
    it lies, with its receipts, and what was never restored is; a worker does the same to each about once in 30 days.
    """
    if bool(backup_id) == everything or (backup_id and (by_restore or rate)):
        raise CallError("Say which: the id of a backup, or --all.")
    with open_home(invocation.settings) as platform:
        if backup_id:
            one = runs.verify_one(platform, backup_id)
            rows = [_outcome_row(Outcome(one.tenant_id, one.label, one, None))]
            errors: list[StrongroomError] = []
        else:
            rows, errors = _verify_all(invocation, platform, rate or scrub.DEFAULT_RATE, by_restore=by_restore)
        alarms.check_now(platform)
    invocation.output.table(rows, _VERIFIED, "There are no backups to verify.")
    _raise_worst(errors, len(rows))


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


def _verify_all(
    invocation: Invocation, platform: Platform, rate: float, *, by_restore: bool
) -> tuple[list[dict[str, Any]], list[StrongroomError]]:
    states = (BackupState.STORED, BackupState.VERIFIED) if by_restore else (BackupState.STORED,)
    with spoken_progress(invocation, "Reading") as progress:
        checked = scrub.scrub(platform, scrub.all_copies(platform), rate=rate, progress=progress)
    with spoken_progress(invocation, "Restoring") as progress:
        outcomes = runs.verify_all(platform, states, progress=progress)
    rows = [_checked_row(one) for one in checked] + [_outcome_row(one) for one in outcomes]
    return rows, [one.error for one in (*checked, *outcomes) if one.error]


def _checked_row(one: Checked) -> dict[str, Any]:
    row = backup_row(one.copy.backup) | {"store": one.copy.store, "failure": str(one.error) if one.error else None}
    return row | ({"state": BackupState.FAILED} if isinstance(one.error, VerificationError) else {})


def _tell_of_bad_ones(platform: Platform, outcomes: Sequence[Outcome]) -> None:
    if any(isinstance(one.error, VerificationError) or (one.backup and one.backup.receipts_lost) for one in outcomes):
        alarms.check_now(platform)


def _refuse_lost_receipts(outcomes: Sequence[Outcome]) -> None:
    lacking = [one.backup for one in outcomes if one.backup and one.backup.receipts_lost]
    if lacking:
        raise VerificationError(
            f"{len(lacking)} of {len(outcomes)} backups lack receipts that were lost before they could be copied, "
            f"first “{lacking[0].label}” ({lacking[0].receipts_lost}); everything else in them is verified."
        )


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


def _run(platform: Platform, slugs: Sequence[str], *, due: bool, parallel: int, progress: Progress) -> list[Outcome]:
    if slugs:
        with platform.control.connect() as conn:
            ids = [tenants.by_slug(conn, slug).id for slug in slugs]
        return runs.run_many(platform, ids, parallel=parallel, progress=progress)
    if due:
        return runs.run_due(platform, parallel=parallel, progress=progress)
    return runs.run_all(platform, parallel=parallel, progress=progress)


def _print_outcomes(invocation: Invocation, outcomes: Sequence[Outcome], empty: str) -> None:
    """Print what became of each. Raises `VerificationError` or `FailedError` after that if something went wrong."""
    rows = [_outcome_row(outcome) for outcome in outcomes]
    invocation.output.table(rows, LISTED | {"failure": "FAILURE"}, empty)
    _raise_worst([outcome.error for outcome in outcomes if outcome.error is not None], len(outcomes))


def _raise_worst(errors: Sequence[StrongroomError], total: int) -> None:
    if errors:
        kind = VerificationError if any(isinstance(error, VerificationError) for error in errors) else FailedError
        raise kind(f"{len(errors)} of {total} failed; the first: {errors[0]}")


def _outcome_row(outcome: Outcome) -> dict[str, Any]:
    if outcome.backup is not None:
        return backup_row(outcome.backup) | {"failure": None, "store": None}
    return dict.fromkeys(_KEYS) | {"tenant": outcome.label, "state": "failed", "failure": str(outcome.error)}


backup.commands = LaterCommands(
    __package__ or "strongroom.backup",
    {
        "policy": ".keeping_commands:policy",
        "prune": ".keeping_commands:prune",
        "undo": ".support_commands:undo",
        "extract": ".support_commands:extract",
        "recover": ".recover_command:recover_command",
        "identity": ".recover_command:identity_command",
    },
    backup.commands,
)
