"""Fills a home with the demo: workspaces side by side, each in one transaction, so that a killed run leaves no half."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from ...config.errors import NotFoundError
from ...platform.control.platform import Platform
from ...platform.keys import FieldCipher, TenantKeys, hash_password
from ...platform.keys.receipts import ReceiptVault
from ...platform.tenants import queries as tenants
from ...platform.tenants.records import Tenant
from ...platform.tenants.states import TenantState
from ...tenant_schema.queries import audit, categories, members, receipts
from ...tenant_schema.queries import settings as workspace_settings
from ..create import provision, request_tenant
from . import queries
from .people import DOMAIN, people
from .receipts import CATEGORY_OF, receipt_rows
from .secret import DemoNote, begin_note, complete_note
from .source import Office, Source, find_source
from .spending import expenses_of
from .workspace import BASE_CURRENCY, Crew, member_rows, spending_rows

_SIDE_BY_SIDE = 3
Step = Callable[[str], None]


def load_demo(platform: Platform, folder: Path | None = None, step: Step = lambda _: None) -> DemoNote:
    """Make and fill the demo workspaces that are missing; call `step` with a word after each.

    `folder` is where the source data lie (`find_source`). A workspace that carries the slug of one of the demo's but
    has members of its own is left alone. Raises what provisioning raises; can be repeated.
    """
    note = begin_note(platform.settings)
    if note.workspaces:
        return note
    source = find_source(folder)
    password_hash = hash_password(note.password, platform.keys.platform().pepper, platform.settings.bcrypt_cost)

    def one(office: Office) -> str:
        tenant = _workspace(platform, office)
        with platform.registry.connect(tenant) as conn, conn.begin():
            if not queries.is_loaded(conn) and members.count_active(conn) == 0:
                _fill(platform, conn, tenant, office, source, password_hash)
        step(office.name)
        return office.slug

    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="demo") as pool:
        slugs = list(pool.map(one, source.offices))
    return complete_note(platform.settings, note, source, slugs)


def _workspace(platform: Platform, office: Office) -> Tenant:
    """The active workspace of the office, made now if it is not there."""
    with platform.control.begin() as conn:
        try:
            tenant = tenants.by_slug(conn, office.slug)
        except NotFoundError:
            tenant = request_tenant(
                conn,
                platform.settings,
                platform.keys,
                slug=office.slug,
                name=office.name,
                owner_email=f"owner@{DOMAIN}",
                plan="pro",
            )
    if tenant.state is TenantState.PENDING:
        provision(platform, tenant.id)
    return platform.registry.tenant_by_id(tenant.id)


def _fill(
    platform: Platform, conn: Connection, tenant: Tenant, office: Office, source: Source, password_hash: str
) -> None:
    keys = platform.keys.tenant(tenant.id)
    cipher = FieldCipher(keys)
    crew = _add_people(conn, office, password_hash, cipher)
    expenses = list(expenses_of(office, crew.people, source.notice))
    with_receipts = office is source.offices[0]
    names = sorted({item.category for item in expenses} | (set(CATEGORY_OF.values()) if with_receipts else set()))
    ids = categories.ensure(conn, names)
    queries.use_only(conn, names)
    queries.insert_spending(conn, spending_rows(office.slug, crew, expenses, ids, cipher))
    if with_receipts:
        _add_receipts(platform, conn, source, crew, ids, keys)
    workspace_settings.put(conn, workspace_settings.BASE_CURRENCY, BASE_CURRENCY)
    detail = {"origin": source.origin, "note": source.notice, "expenses": len(expenses)}
    queries.mark_loaded(conn, detail)
    audit.record(conn, None, "demo.loaded", detail=detail)


def _add_people(conn: Connection, office: Office, password_hash: str, cipher: FieldCipher) -> Crew:
    persons = people(office.slug)
    rows = member_rows(persons, password_hash, cipher)
    crew = Crew(persons, [row["id"] for row in rows])
    approvers = {
        crew.ids[position]: approver
        for position in range(len(persons))
        if (approver := crew.approver_of(position)) is not None
    }
    queries.insert_members(conn, rows, approvers)
    return crew


def _add_receipts(
    platform: Platform, conn: Connection, source: Source, crew: Crew, ids: dict[str, UUID], keys: TenantKeys
) -> None:
    """The receipts belong to the contributor who can sign in, so that there is something to submit."""
    owner = next(position for position, person in enumerate(crew.people) if person.role == "contributor")
    vault = ReceiptVault(platform.settings, keys)
    rows = receipt_rows(source, crew.ids[owner], ids, FieldCipher(keys), vault)
    receipts.add_many(conn, rows.receipts)
    queries.insert_expenses(conn, rows.expenses)
    receipts.attach_many(conn, rows.links)
