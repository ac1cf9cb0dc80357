"""The operator's commands around servers and workspaces. They parse, call, and print; the work is elsewhere."""

import dataclasses
import getpass
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..config.errors import CallError, FailedError, RefusedError, VerificationError
from ..config.settings import Settings
from ..platform.audit import queries as audit
from ..platform.console.commands import Command, Group, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.control.platform import Platform
from ..platform.portal.imports.service import ImportResult
from ..platform.servers import queries as servers
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from ..platform.tenants.requests import DEFAULT_PLAN
from ..platform.tenants.states import TenantState
from . import lifecycle
from .create import invitation_link, provision, request_tenant
from .initialise import initialise_home
from .isolation.verify import verify_isolation
from .load_csv import load_csv
from .opening import open_home
from .server_check import check_server

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
    """Workspaces: create, list, show, suspend, resume, load."""


@tenant.command(
    example='strongroom tenant create acme --name "Acme Ltd" --owner anna@acme.example --plan team --wait',
)
@click.argument("slug")
@click.option("--name", required=True, help="Name of the workspace, as its members see it.")
@click.option("--owner", required=True, metavar="EMAIL", help="Who gets the invitation to be the owner.")
@click.option("--plan", default=DEFAULT_PLAN, show_default=True, help="free, pro or team.")
@click.option("--region", help="Where its data stay [the installation's region].")
@click.option("--wait", is_flag=True, help="Return when the workspace is active, not when it is queued.")
@pass_invocation
def create(
    invocation: Invocation, slug: str, name: str, owner: str, plan: str, region: str | None, *, wait: bool
) -> None:
    """Provision a workspace with the address SLUG and print its owner's invitation link.

    Without --wait the workspace is pending until a worker (`strongroom up` or `strongroom worker`) has made it.
    """
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


@tenant.command(name="list", example="strongroom tenant list --json")
@pass_invocation
def list_(invocation: Invocation) -> None:
    """List the workspaces."""
    settings = invocation.settings
    with open_home(settings) as platform, platform.control.connect() as conn:
        rows = [tenant_row(settings, one) for one in tenants.list_all(conn)]
    invocation.output.table(rows, _LISTED, "There are no workspaces yet; make one with `strongroom tenant create`.")


@tenant.command(example="strongroom tenant show acme")
@click.argument("slug")
@pass_invocation
def show(invocation: Invocation, slug: str) -> None:
    """Show one workspace."""
    settings = invocation.settings
    with open_home(settings) as platform:
        invocation.output.record(tenant_row(settings, _by_slug(platform, slug)))


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
    """Open a suspended workspace again."""
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
        "url": settings.workspace_url(one.slug),
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
        except RefusedError:
            time.sleep(0.1)
            continue
        if made.state is TenantState.ACTIVE:
            return made
    raise FailedError("The workspace is still being made; `strongroom tenant show` says when it is active.")


def _by_slug(platform: Platform, slug: str) -> Tenant:
    with platform.control.connect() as conn:
        return tenants.by_slug(conn, slug)


def _audited(platform: Platform, about: Tenant, action: str, detail: Mapping[str, Any] | None = None) -> None:
    with platform.control.begin() as conn:
        audit.record(conn, operator_name(), action, about.id, dict(detail or {}))


@click.group(cls=Group)
def server() -> None:
    """PostgreSQL servers that hold workspaces."""


@server.command(name="list", example="strongroom server list --json")
@pass_invocation
def list_servers(invocation: Invocation) -> None:
    """List the servers: name, host or socket folder, port, region, and how many workspaces each holds."""
    with open_home(invocation.settings) as platform, platform.control.connect() as conn:
        counts = servers.databases(conn)
        rows = [
            {
                "name": one.name,
                "kind": one.kind,
                "host": one.host,
                "port": one.port,
                "region": one.region,
                "accepts_tenants": one.accepts_tenants,
                "tenants": counts.get(one.name, 0),
            }
            for one in servers.list_all(conn)
        ]
    headings = {key: key.replace("_", " ").upper() for key in ("name", "host", "port", "region", "tenants")}
    invocation.output.table(rows, headings, "There are no servers.")


@server.command(example="strongroom server check embedded")
@click.argument("name")
@pass_invocation
def check(invocation: Invocation, name: str) -> None:
    """Reach a server, and check its rules and roles. Exit code 5 if something is open that must be closed."""
    with open_home(invocation.settings) as platform:
        report = check_server(platform, name)
    findings = [finding.as_json() for finding in report.findings]
    document = {"name": name, "version": report.version, "databases": report.databases, "findings": findings}
    problems = [f"{finding.where} {finding.sentence}." for finding in report.findings]
    _print_verdict(
        invocation,
        document,
        f"{name} answers (PostgreSQL {report.version}); its {report.databases} databases are closed.",
        problems,
    )


@click.group(cls=Group)
def isolation() -> None:
    """Proof that workspaces are apart."""


@isolation.command(example="strongroom isolation verify --live 2 --json")
@click.option("--live", type=click.IntRange(min=0), default=0, metavar="N", help="Attack N workspaces for real.")
@pass_invocation
def verify(invocation: Invocation, live: int) -> None:
    """Check grants, roles and rules of all workspaces. Exit code 5 and a list if anything got through."""
    with (
        open_home(invocation.settings) as platform,
        invocation.output.progress("Verifying isolation") as advance,
    ):
        report = verify_isolation(platform, live, advance)
    attacks = f"; all {report.attempts} attacks on {report.attacked} of them were stopped" if report.attacked else ""
    sentence = f"{report.tenants} databases checked in {report.seconds:.1f} s: nothing is open{attacks}."
    _print_verdict(invocation, report.as_json(), sentence, report.problems())


def _print_verdict(invocation: Invocation, document: dict[str, Any], sentence: str, problems: list[str]) -> None:
    """Print a report. Raises `VerificationError` where there are problems, after they were listed."""
    invocation.output.done("\n".join(problems) or sentence, document)
    if problems:
        raise VerificationError(f"Verification failed: {len(problems)} thing(s) are open that must be closed.")
