"""Workspaces for the browser: fresh ones with a member of each role, and one that has worked for a year."""

import hashlib
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sample_hooks import hook_examples
from sqlalchemy import Connection, select

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher, ReceiptVault, hash_password
from strongroom.platform.portal.access import links
from strongroom.platform.portal.receipts.service import sealed_row
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.demo import load, source
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import categories, expenses, members, receipts, reports, sessions

PASSWORD = "correct horse battery"
NAMES = {
    Role.OWNER: "Olivia Marsh",
    Role.ADMIN: "Adam Reyes",
    Role.MEMBER: "Mina Farouk",
    Role.CONTRIBUTOR: "Callum Wright",
    Role.READ_ONLY: "Ruth Anand",
}


@dataclass(frozen=True)
class Workspace:
    """A workspace with one member of each role."""

    platform: Platform
    tenant: Tenant
    people: dict[Role, UUID]

    @property
    def url(self) -> str:
        """Its address, without a trailing slash."""
        return self.platform.settings.workspace_url(self.tenant.slug)

    @contextmanager
    def database(self) -> Generator[Connection]:
        """A transaction in its database, as the portal would have it."""
        tenant = self.platform.registry.tenant_by_id(self.tenant.id)  # a restore has moved it, perhaps
        with self.platform.registry.connect(tenant) as conn, conn.begin():
            yield conn

    @property
    def cipher(self) -> FieldCipher:
        """What seals and opens its columns."""
        return FieldCipher(self.platform.keys.tenant(self.tenant.id))

    def email(self, role: Role) -> str:
        """Where the member of that role signs in."""
        return f"{role.value.replace('_', '-')}@people.example"

    def begin_session(self, role: Role) -> str:
        """A session for a member without the sign-in form; the value of its cookie."""
        token, row_id = secrets.token_urlsafe(32), new_uuid7()
        with self.database() as conn:
            sessions.insert(
                conn,
                id=row_id,
                token_hash=hashlib.sha256(token.encode()).digest(),
                member_id=self.people[role],
                method="password",
                address="127.0.0.1",
                user_agent=self.cipher.seal(tables.session.c.user_agent, row_id, "Chromium"),
            )
        return token

    def add_expense(
        self, role: Role, merchant: str, amount: str, *, receipt: Path | None = None, **columns: Any
    ) -> UUID:
        """A draft of a member's, made without the form."""
        expense_id = new_uuid7()
        values = {"currency": "GBP", "digits": 2, "base_currency": "GBP", "base_amount": Decimal(amount)} | columns
        with self.database() as conn:
            category = next(one for one in categories.list_all(conn) if one.active)
            row = {"id": expense_id, "member_id": self.people[role], "category_id": category.id, "merchant": merchant}
            expenses.create(
                conn, row | {"amount": Decimal(amount), "spent_on": "2024-03-12", "state": "draft"} | values
            )
            if receipt:
                receipts.attach(conn, expense_id, [self._add_receipt(conn, role, receipt)])
        return expense_id

    def _add_receipt(self, conn: Connection, role: Role, file: Path) -> UUID:
        receipt_id, keys = new_uuid7(), self.platform.keys.tenant(self.tenant.id)
        vault = ReceiptVault(self.platform.settings, keys)
        receipts.add(conn, sealed_row(self.cipher, vault, receipt_id, self.people[role], file.name, file.read_bytes()))
        return receipt_id

    def add_report(self, role: Role, expense_ids: list[UUID], title: str = "March") -> UUID:
        """A submitted report of these drafts."""
        report_id = new_uuid7()
        with self.database() as conn:
            reports.create(conn, report_id=report_id, member_id=self.people[role], title=title, approver_id=None)
            expenses.move(conn, expense_ids, "submitted", report_id)
        return report_id


def fresh_workspace(platform: Platform, slug: str, name: str = "Larkspur Design") -> Workspace:
    """An active workspace in which nothing was spent yet."""
    with platform.control.begin() as conn:
        owner = f"first-owner@{slug}.example"
        asked = request_tenant(conn, platform.settings, platform.keys, slug=slug, name=name, owner_email=owner)
    tenant = provision(platform, asked.id)
    cipher, pepper = FieldCipher(platform.keys.tenant(tenant.id)), platform.keys.platform().pepper
    hashed = hash_password(PASSWORD, pepper, platform.settings.bcrypt_cost)
    made = Workspace(platform, tenant, {role: new_uuid7() for role in Role})
    with made.database() as conn:
        for role, member_id in made.people.items():
            columns = tables.member.c
            members.insert(
                conn,
                id=member_id,
                email=cipher.seal(columns.email, member_id, made.email(role)),
                email_index=cipher.blind(columns.email_index, made.email(role)),
                name=cipher.seal(columns.name, member_id, NAMES[role]),
                password_hash=hashed,
                role=role,
            )
    return made


def busy_workspace(platform: Platform) -> Workspace:
    """A workspace of the demo's: a year of spending, receipts, reports in every state."""
    found = source.find_source(source.SHIPPED)
    office = found.offices[0]
    tenant = load._workspace(platform, office)
    hashed = hash_password(PASSWORD, platform.keys.platform().pepper, platform.settings.bcrypt_cost)
    with platform.registry.connect(tenant) as conn, conn.begin():
        load._fill(platform, conn, tenant, office, found, hashed)
    return found_workspace(platform, tenant)


def found_workspace(platform: Platform, tenant: Tenant) -> Workspace:
    """A workspace that is there already, with the first member of each role."""
    with platform.registry.connect(tenant) as conn:
        people = {Role(row.role): row.id for row in reversed(members.list_active(conn))}
    return Workspace(platform, tenant, people)


def examples(workspace: Workspace) -> dict[str, list[object]]:
    """What stands for the arguments of addresses: one of each kind that looks different."""
    with workspace.database() as conn:
        spent, sent = tables.expense.c, tables.report.c
        by_state = {row.state: row.id for row in conn.execute(select(spent.state, spent.id))}
        of_reports = {row.state: row.id for row in conn.execute(select(sent.state, sent.id))}
        own = select(spent.id).where(spent.member_id == workspace.people[Role.OWNER], spent.state == "draft")
        mine = conn.scalars(own.limit(1)).all()
        hooks = hook_examples(conn, workspace.cipher, workspace.people[Role.OWNER], workspace.people[Role.MEMBER])
        whose = workspace.people[Role.MEMBER]
        mails: dict[str, list[object]] = {
            f"{purpose}_token": ["no-such-link", links.make(conn, whose, purpose, timedelta(days=7))]
            for purpose in (links.NOT_ME, links.RESET, links.UNLOCK)
        }
    return {
        "expense_id": [*by_state.values(), *mine],
        "report_id": list(of_reports.values()),
        "member_id": [workspace.people[Role.CONTRIBUTOR]],
        "token": ["no-such-invitation"],
        **mails,
        **hooks,
    }
