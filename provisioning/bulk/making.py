"""One workspace of the list: found, or asked for; provisioned; its expenses loaded. Each step may be repeated."""

import hashlib
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ...config.errors import BusyError, FailedError, NotFoundError, RefusedError, StrongroomError
from ...platform.audit import queries as audit
from ...platform.control.platform import Platform
from ...platform.keys import FieldCipher
from ...platform.tenants import queries as tenants
from ...platform.tenants.records import Tenant
from ...platform.tenants.requests import owner_email, register_tenant
from ...platform.tenants.states import TenantState
from ...tenant_schema.queries import invitations
from ...tenant_schema.queries import settings as workspace_settings
from ...tenant_schema.tables import invitation
from ..building import Sessions
from ..create import provision
from ..load_csv import import_into
from .rows import Row


class Kind(StrEnum):
    """How a row of the list came out."""

    CREATED = "created"
    CONTINUED = "continued"  # an earlier run, or `tenant create`, had asked for it
    THERE = "already there"
    REFUSED = "refused"  # the list and what is there contradict each other
    FAILED = "failed"  # for a reason outside; the command can be repeated


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row. `expenses` is how many were loaded by this run."""

    line: int
    slug: str
    kind: Kind
    expenses: int = 0
    seconds: float = 0.0
    sentence: str = ""


def make_one(platform: Platform, sessions: Sessions, row: Row, operator: str) -> Outcome:
    """Bring one row of the list to an active workspace with its expenses. Raises nothing that is expected."""
    began = time.monotonic()
    expenses, sentence = 0, ""
    try:
        kind, tenant = _request(platform, row, operator)
        if tenant.state is TenantState.PENDING:
            tenant = provision(platform, tenant.id, sessions)
        elif kind is Kind.THERE:
            _check_owner(platform, tenant, row)
        expenses = _load_once(platform, tenant, row, operator)
        platform.registry.forget(tenant)  # there are more to come than connections
    except (FailedError, BusyError) as error:
        kind, sentence = Kind.FAILED, str(error)
    except StrongroomError as error:
        kind, sentence = Kind.REFUSED, str(error)
    except (psycopg.Error, DBAPIError):
        kind, sentence = Kind.FAILED, "The database server refused a step or went away; repeat the command."
    return Outcome(row.line, row.slug, kind, expenses, time.monotonic() - began, sentence)


def _request(platform: Platform, row: Row, operator: str) -> tuple[Kind, Tenant]:
    """The workspace of the row, asked for now if it is not there. Raises `RefusedError` for somebody else's."""
    with platform.control.begin() as conn:
        try:
            tenant = tenants.by_slug(conn, row.slug)
        except NotFoundError:
            made = _ask(platform, conn, row, operator)
            if made is not None:
                return Kind.CREATED, made
            tenant = tenants.by_slug(conn, row.slug)
        _check_same(row, tenant)
        if tenant.state is not TenantState.PENDING:
            return Kind.THERE, tenant
        if owner_email(conn, platform.keys, tenant.id) != row.owner:
            raise _conflict(row, "another owner")
        return Kind.CONTINUED, tenant


def _check_same(row: Row, tenant: Tenant) -> None:
    """Raise `RefusedError` where the list itself says something else than what is there."""
    for what in ("name", *row.named):
        if getattr(tenant, what) != getattr(row, what):
            raise _conflict(row, f"another {what}")


def _ask(platform: Platform, conn: Connection, row: Row, operator: str) -> Tenant | None:
    """Ask without a job: this process provisions. A pending one that it leaves is found by the periodic job.

    None where somebody else, such as a second run, has asked in this very moment.
    """
    try:
        made = register_tenant(
            conn, platform.keys, slug=row.slug, name=row.name, owner_email=row.owner, plan=row.plan, region=row.region
        )
    except RefusedError:
        return None
    audit.record(conn, operator, "tenant.created", made.id, {"plan": made.plan, "region": made.region})
    return made


def _check_owner(platform: Platform, tenant: Tenant, row: Row) -> None:
    """Raise `RefusedError` unless the row's owner was invited to own the workspace, whoever owns it by now."""
    if tenant.state is not TenantState.ACTIVE:
        return  # its database is closed; nothing is done to it either
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.registry.connect(tenant) as conn, conn.begin():
        invited = invitations.ever_sent(conn, cipher.blind(invitation.c.email_index, row.owner), "owner")
    if not invited:
        raise _conflict(row, "another owner")


def _load_once(platform: Platform, tenant: Tenant, row: Row, operator: str) -> int:
    """Set the currency and load the expenses, unless an earlier run has; return how many expenses were loaded."""
    if row.expenses is None and row.currency is None:
        return 0
    if tenant.state is not TenantState.ACTIVE:
        raise RefusedError(f"The workspace “{tenant.slug}” is {tenant.state}; it takes no expenses now.")
    mark = {"expenses": _digest(row.expenses), "currency": row.currency}
    with platform.registry.connect(tenant) as conn, conn.begin():
        known = workspace_settings.mark_once(conn, "bulk", mark)
        if known is not None:
            return _same(row, known, mark)
        if row.currency is not None:
            workspace_settings.put(conn, workspace_settings.BASE_CURRENCY, row.currency)
        loaded = _load(platform, conn, tenant, row.expenses) if row.expenses else 0
    if loaded:
        with platform.control.begin() as control:
            audit.record(control, operator, "tenant.loaded", tenant.id, {"expenses": loaded, "receipts": 0})
    return loaded


def _load(platform: Platform, conn: Connection, tenant: Tenant, path: Path) -> int:
    result = import_into(conn, platform, tenant, path)
    if not result.accepted:
        bad = result.rejected[0]
        raise RefusedError(f"{path.name}, line {bad.line}: {bad.sentence}")
    return result.imported


def _same(row: Row, known: object, mark: object) -> int:
    if known != mark:
        raise RefusedError(f"The workspace “{row.slug}” was made with other expenses or in another currency.")
    return 0


def _digest(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise FailedError(f"{path} cannot be read: {error.strerror}.") from error


def _conflict(row: Row, what: str) -> RefusedError:
    return RefusedError(f"The workspace address “{row.slug}” is taken by a workspace with {what}.")
