"""The operator's commands around workspaces. They parse, call, and print; the work is elsewhere."""

import dataclasses
import getpass
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..config.errors import BusyError, CallError, FailedError, StrongroomError
from ..config.settings import Settings
from ..platform.audit import queries as audit
from ..platform.console.commands import Command, Group, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.console.output import plain
from ..platform.control.platform import Platform
from ..platform.portal.imports.service import ImportResult
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from ..platform.tenants.requests import DEFAULT_PLAN
from ..platform.tenants.states import TenantState
from . import lifecycle
from .bulk.command import create_from
from .create import invitation_link, provision, request_tenant
from .initialise import initialise_home
from .invitation import open_link
from .load_csv import load_csv
from .opening import open_home

_PROVISION_SECONDS = 120
_LISTED = {
    "slug": "WORKSPACE",
    "state": "STATE",
    "plan": "PLAN",
    "database": "DATABASE",
    "last_verified_at": "LAST VERIFIED",
}


@click.command(cls=Command, example="strongroom --home /srv/strongroom init")
@pass_invocation
def init(invocation: Invocation) -> None:
    """Make a home: settings, keys, PostgreSQL, control database. Harmless to repeat; needed after an upgrade."""
    settings = invocation.settings
    with invocation.output.progress(f"Setting up {settings.home}"):
        initialise_home(settings)
    found = {"home": settings.home, "keys": settings.keys_dir, "backups": settings.backup_root}
    invocation.output.done(f"{settings.home} is set up; its backups go to {settings.backup_root}.", found)


@click.group(cls=Group)
def tenant() -> None:
    """Workspaces: create, list, show, suspend, resume, rename, invite, clone, move, load, erase, forget."""


@tenant.command(
    example='strongroom tenant create acme --name "Acme Ltd" --owner anna@acme.example --plan team --wait\n'
    "strongroom tenant create --from offices.csv --parallel 4 --report made.csv",
)
@click.argument("slug", required=False)
@click.option("--name", help="Name of the workspace, as its members see it.")
@click.option("--owner", metavar="EMAIL", help="Who gets the invitation to be the owner.")
@click.option("--plan", default=DEFAULT_PLAN, show_default=True, help="free, pro or team.")
@click.option("--region", help="Where its data stay [the installation's region].")
@click.option("--wait", is_flag=True, help="Return when the workspace is active, not when it is queued.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE.csv",
    help="Make all workspaces of a list: slug, name, owner [, plan, region, currency, expenses].",
)
@click.option("--parallel", type=click.IntRange(1, 32), metavar="N", help="With --from: worker processes [2].")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="With --from: write there what became of each line.",
)
@pass_invocation
def create(  # noqa: PLR0913, PLR0917 - click passes one argument per option
    invocation: Invocation,
    slug: str | None,
    name: str | None,
    owner: str | None,
    plan: str,
    region: str | None,
    source: Path | None,
    parallel: int | None,
    report: Path | None,
    *,
    wait: bool,
) -> None:
    """Provision a workspace with the address SLUG and print its owner's invitation link; or many, with --from.

    Without --wait the workspace is pending until a worker (`strongroom up` or `strongroom worker`) has made it. A list
    is checked completely first. What is there already is left as it is, so the command can be repeated; “expenses”
    names a CSV file beside the list, to be loaded as `tenant load` does, “currency” what the workspace counts in.
    """
    if source is None:
        if parallel is not None or report is not None:
            raise CallError("--parallel and --report belong to --from.")
        if slug is None or name is None or owner is None:
            raise CallError("A workspace needs SLUG, --name and --owner; or name a list of them with --from.")
        _create_one(invocation, slug, name, owner, plan, region, wait=wait)
        return
    if slug is not None or name is not None or owner is not None:
        raise CallError("SLUG, --name and --owner stand in the list that --from names; leave them out.")
    who = operator_name()
    create_from(invocation, source, plan=plan, region=region, parallel=parallel or 2, report_to=report, operator=who)


def _create_one(
    invocation: Invocation, slug: str, name: str, owner: str, plan: str, region: str | None, *, wait: bool
) -> None:
    settings, output = invocation.settings, invocation.output
    with open_home(settings) as platform:
        with platform.control.begin() as conn:
            made = request_tenant(
                conn, settings, platform.keys, slug=slug, name=name, owner_email=owner, plan=plan, region=region
            )
            audit.record(conn, operator_name(), "tenant.created", made.id, {"plan": made.plan, "region": made.region})
        link = invitation_link(settings, platform.keys, made)
        if wait:
            with output.progress(f"Making the workspace {made.slug}"):
                made = _provisioned(platform, made.id)
        output.record(tenant_row(settings, made) | {"invitation": link})


@tenant.command(name="list", example="strongroom tenant list --json\nstrongroom tenant list --all")
@click.option(
    "--all", "everything", is_flag=True, help="Erased accounts, too: by their ids, which is all that is left."
)
@pass_invocation
def list_(invocation: Invocation, *, everything: bool) -> None:
    """List the workspaces."""
    settings = invocation.settings
    with open_home(settings) as platform, platform.control.connect() as conn:
        rows = [tenant_row(settings, one) for one in tenants.list_all(conn, TenantState if everything else None)]
    invocation.output.table(rows, _LISTED, "There are no workspaces yet; make one with `strongroom tenant create`.")


@tenant.command(example="strongroom tenant show acme")
@click.argument("slug", metavar="SLUG_OR_ID")
@pass_invocation
def show(invocation: Invocation, slug: str) -> None:
    """Show one workspace, with the link of its owner's invitation as long as that can be used.

    “retired” are the databases that it had before a restore or a move: `strongroom backup undo` goes back to one. One
    that is being erased has its address until the end; after that, it is found by its id.
    """
    settings = invocation.settings
    with open_home(settings) as platform:
        with platform.control.connect() as conn:
            found = tenants.holder(conn, slug)
            retired = placements.kept(conn, found.id)
        row = tenant_row(settings, found) | {"invitation": _open_link(invocation, platform, found)}
    if invocation.as_json:
        kept = [{key: getattr(one, key) for key in ("id", "server", "retired_at", "drop_after")} for one in retired]
        invocation.output.record(row | {"retired": kept})
    else:
        said = [f"{one.id} on {one.server}, kept until {plain(one.drop_after)}" for one in retired]
        invocation.output.record(row | {"retired": said or None})


@tenant.command(example="strongroom tenant suspend acme --yes")
@click.argument("slug")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def suspend(invocation: Invocation, slug: str, *, yes: bool) -> None:
    """Close a workspace to its members until it is resumed. Its data and backups stay."""
    with open_home(invocation.settings) as platform:
        found = _by_slug(platform, slug)
        invocation.confirm(slug, f"The members of “{slug}” will be locked out.", yes=yes)
        suspended = lifecycle.suspend(platform, found)
        _audited(platform, found, "tenant.suspended")
        invocation.output.done(f"“{slug}” is suspended.", tenant_row(invocation.settings, suspended))


@tenant.command(example="strongroom tenant resume acme")
@click.argument("slug")
@pass_invocation
def resume(invocation: Invocation, slug: str) -> None:
    """Open a suspended workspace again, or one whose move or restore was killed, where it was."""
    with open_home(invocation.settings) as platform:
        resumed = lifecycle.resume(platform, _by_slug(platform, slug))
        _audited(platform, resumed, "tenant.resumed")
        invocation.output.done(f"“{slug}” is active again.", tenant_row(invocation.settings, resumed))


@tenant.command(example="strongroom tenant load acme expenses.csv --receipts scans/")
@click.argument("slug")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--receipts",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder with the files that the column “receipt” names.",
)
@click.option("--member", metavar="EMAIL", help="Whose expenses they are, where a row names nobody [the owner's].")
@pass_invocation
def load(invocation: Invocation, slug: str, file: Path, receipts: Path | None, member: str | None) -> None:
    """Import expenses from a CSV file as drafts: all rows, or none and a list of what is wrong.

    Columns: date, merchant, amount; optional: currency, category, member, note, receipt, fx_rate, tax_amount.
    """
    with open_home(invocation.settings) as platform, invocation.output.progress(f"Loading {file}") as advance:
        found = _by_slug(platform, slug)
        result = load_csv(platform, found, file, receipts, member, lambda count: advance(f"{count} rows read"))
        if result.accepted:
            _audited(platform, found, "tenant.loaded", {"expenses": result.imported, "receipts": result.receipts})
    _print_import(invocation, slug, result)


def _print_import(invocation: Invocation, slug: str, result: ImportResult) -> None:
    """Print the report. Raises `CallError` after that when rows were rejected."""
    document = dataclasses.asdict(result)
    if result.accepted:
        also = f", {result.receipts} receipts" if result.receipts else ""
        invocation.output.done(f"{result.imported} expenses{also} loaded into “{slug}”, as drafts.", document)
        return
    listed = "\n".join(f"line {row.line}: {row.sentence}" for row in result.rejected)
    invocation.output.done(listed, document)
    raise CallError(f"{result.rejected_count} of {result.read} rows are wrong, so nothing was loaded.")


def tenant_row(settings: Settings, one: Tenant) -> dict[str, Any]:
    """What the command line says about a workspace."""
    return {
        "id": one.id,
        "slug": one.slug,
        "name": one.name,
        "plan": one.plan,
        "region": one.region,
        "server": one.server or None,
        "database": one.database if one.placement_id else None,
        "state": one.state,
        "schema_revision": one.schema_revision,
        "created_at": one.created_at,
        "last_backup_at": one.last_backup_at,
        "last_verified_at": one.last_verified_at,
        "failure": one.failure,
        "erased_at": one.erased_at,
        "url": settings.workspace_url(one.slug) if one.state is not TenantState.ERASED else None,
    }


def operator_name() -> str:
    """Who runs this command, for the operators' audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "unknown"


def _provisioned(platform: Platform, tenant_id: str) -> Tenant:
    """Provision here, or wait for the worker that was faster. Raises `FailedError` when it takes too long."""
    deadline = time.monotonic() + _PROVISION_SECONDS
    while time.monotonic() < deadline:
        try:
            made = provision(platform, tenant_id)
        except BusyError:
            time.sleep(0.1)
            continue
        if made.state is TenantState.ACTIVE:
            return made
    raise FailedError("The workspace is still being made; `strongroom tenant show` says when it is active.")


def _open_link(invocation: Invocation, platform: Platform, tenant: Tenant) -> str | None:
    """The owner's invitation; what the control database knows is shown without its database, too."""
    try:
        return open_link(platform, tenant)
    except StrongroomError as error:
        invocation.output.say(f"Whether an invitation is open is not known: {error}")
        return None


def _by_slug(platform: Platform, slug: str) -> Tenant:
    with platform.control.connect() as conn:
        return tenants.by_slug(conn, slug)


def _audited(platform: Platform, about: Tenant, action: str, detail: Mapping[str, Any] | None = None) -> None:
    with platform.control.begin() as conn:
        audit.record(conn, operator_name(), action, about.id, dict(detail or {}))
