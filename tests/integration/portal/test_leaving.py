"""Removing somebody, or taking the right to approve away: what ends, what stays, who takes over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, insert, select, update
from visitors import Portal, of_its_own

from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import members, reports

Browser = Any


@dataclass
class Office:
    """A workspace in which the Member approves for the Contributor, whose report waits, and has a draft themself."""

    portal: Portal
    report: UUID
    own: UUID

    def id(self, role: Role) -> UUID:
        return self.portal.people["acme", role]

    def row(self, role: Role) -> Any:
        with self.portal.database() as conn:
            return members.by_id(conn, self.id(role))

    def approver(self, report: UUID) -> UUID | None:
        with self.portal.database() as conn:
            found = reports.by_id(conn, report)
        assert found
        return found.approver_id

    def remove(self, role: Role, actor: Role = Role.OWNER, **fields: object) -> Any:
        browser, page = self.portal.signed_in(actor), f"/members/{self.id(role)}/remove"
        return browser.post(page, fields, form=page)

    def change(self, role: Role, to: Role, actor: Role = Role.OWNER, **fields: object) -> Any:
        browser, page = self.portal.signed_in(actor), f"/members/{self.id(role)}"
        return browser.post(page, {"role": to.value} | fields, form=page)


@pytest.fixture
def office(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Office:
    made = of_its_own(portal, tenant_factory())
    approver, spender = made.people["acme", Role.MEMBER], made.people["acme", Role.CONTRIBUTOR]
    with made.database() as conn:
        members.set_approver(conn, spender, approver)
        report = add_report(conn, spender, approver)
        add_expense(conn, approver, None, "draft")
        own = add_report(conn, approver, made.people["acme", Role.ADMIN])
    return Office(made, report, own)


def add_report(conn: Connection, spender: UUID, approver: UUID | None) -> UUID:
    report = new_uuid7()
    reports.create(conn, report_id=report, member_id=spender, title="A trip", approver_id=approver)
    add_expense(conn, spender, report, "submitted")
    return report


def add_expense(conn: Connection, spender: UUID, report: UUID | None, state: str) -> None:
    category = conn.scalar(select(t.category.c.id).limit(1))
    money = {"amount": Decimal(9), "currency": "GBP", "digits": 2, "base_amount": Decimal(9), "base_currency": "GBP"}
    row = {"id": new_uuid7(), "member_id": spender, "category_id": category, "report_id": report, "state": state}
    conn.execute(insert(t.expense).values(row | money | {"spent_on": date(2026, 1, 31), "merchant": "Rail"}))


def add_token(portal: Portal, conn: Connection, member_id: UUID) -> UUID:
    token, until = new_uuid7(), datetime.now(UTC) + timedelta(days=9)
    name = portal.cipher().seal(t.api_token.c.name, token, "Payroll")
    row = {"token_hash": token.bytes, "hint": "sr_", "name": name, "scopes": [], "expires_at": until}
    conn.execute(insert(t.api_token).values(row | {"id": token, "member_id": member_id}))
    return token


def test_the_page_says_first_what_ends_and_what_stays(office: Office) -> None:
    theirs = office.portal.signed_in(Role.MEMBER)
    assert theirs.get("/members").status_code == 200
    with office.portal.database() as conn:
        add_token(office.portal, conn, office.id(Role.MEMBER))
    page = office.portal.signed_in(Role.ADMIN).get(f"/members/{office.id(Role.MEMBER)}/remove").text
    for fact in (
        "1 session",
        "1 token",
        "0 open invitations",
        "1 expense",
        "1 report of theirs",
        "1 report",
        "1 member",
    ):
        assert f"<dd>{fact}</dd>" in page, fact
    assert "Any Owner or Admin" in page
    assert "The Contributor, Contributor" not in page, "who may not approve is not offered"


def test_who_has_decisions_is_not_removed_before_somebody_takes_over(office: Office) -> None:
    answer = office.remove(Role.MEMBER)
    assert answer.status_code == 422
    assert "Choose who takes over" in answer.text
    assert office.row(Role.MEMBER).state == "active"


def test_a_removal_hands_over_reports_and_people(office: Office) -> None:
    admin = office.id(Role.ADMIN)
    assert office.remove(Role.MEMBER, approver=str(admin)).status_code == 303
    assert office.approver(office.report) == admin
    assert office.row(Role.CONTRIBUTOR).approver_id == admin
    shown = office.portal.signed_in(Role.ADMIN)
    assert f"/reports/{office.report}" in shown.get("/approvals").text
    assert "handed it over for approval" in shown.get(f"/reports/{office.report}").text
    with office.portal.database() as conn:
        actions = set(conn.scalars(select(t.audit_event.c.action)))
        drafts = conn.scalars(select(t.expense.c.state).where(t.expense.c.member_id == office.id(Role.MEMBER))).all()
    assert {"member.removed", "report.handed_over", "member.approver_changed"} <= actions
    assert sorted(drafts) == ["draft", "submitted"]


def test_what_is_handed_to_anyone_waits_for_every_owner_and_admin(office: Office) -> None:
    assert office.remove(Role.MEMBER, approver="anyone").status_code == 303
    assert office.approver(office.report) is None
    for role in (Role.OWNER, Role.ADMIN):
        assert f"/reports/{office.report}" in office.portal.signed_in(role).get("/approvals").text


def test_the_successors_own_report_goes_to_any_owner_or_admin(office: Office) -> None:
    admin, member = office.id(Role.ADMIN), office.id(Role.MEMBER)
    with office.portal.database() as conn:
        own = add_report(conn, admin, member)
        members.set_approver(conn, admin, member)
    assert office.remove(Role.MEMBER, approver=str(admin)).status_code == 303
    assert office.approver(own) is None
    assert office.row(Role.ADMIN).approver_id is None


@pytest.mark.parametrize("role", [Role.CONTRIBUTOR, Role.READ_ONLY, Role.MEMBER])
def test_nobody_takes_over_who_may_not(office: Office, role: Role) -> None:
    answer = office.remove(Role.MEMBER, approver=str(office.id(role)))
    assert answer.status_code == 422
    assert "cannot take over" in answer.text
    assert office.approver(office.report) == office.id(Role.MEMBER)


def test_a_removed_person_takes_nothing_over(office: Office) -> None:
    assert office.remove(Role.ADMIN, approver="anyone").status_code == 303
    assert office.remove(Role.MEMBER, approver=str(office.id(Role.ADMIN))).status_code == 422


def test_a_stranger_takes_nothing_over(office: Office) -> None:
    assert office.remove(Role.MEMBER, approver=str(uuid4())).status_code == 404


def test_the_approver_of_the_one_who_leaves_may_take_over(office: Office, portal: Portal) -> None:
    """A Member who leads: not an Admin, but the approver of the person who leaves."""
    lead, leaver = office.id(Role.READ_ONLY), office.id(Role.MEMBER)
    with office.portal.database() as conn:
        members.set_role(conn, lead, "member")
        members.set_approver(conn, leaver, lead)
    assert office.remove(Role.MEMBER, approver=str(lead)).status_code == 303
    assert office.approver(office.report) == lead


def test_everything_by_which_a_removed_person_could_return_is_gone(office: Office) -> None:
    theirs, member = office.portal.signed_in(Role.ADMIN), office.id(Role.ADMIN)
    sent = theirs.post("/members/invite", {"email": "new@x.example", "role": "member"}, form="/members/invite")
    assert sent.status_code == 200
    seal = office.portal.cipher().seal
    with office.portal.database() as conn:
        token, key = add_token(office.portal, conn, member), new_uuid7()
        secret, name = seal(t.totp.c.secret, key, "x"), seal(t.passkey.c.name, key, "A key")
        conn.execute(insert(t.totp).values(id=key, member_id=member, secret=secret, confirmed_at=datetime.now(UTC)))
        conn.execute(insert(t.recovery_code).values(id=key, member_id=member, code_hash=key.bytes))
        conn.execute(insert(t.passkey).values(id=key, member_id=member, credential_id=b"c", public_key=b"k", name=name))
        link = {"token_hash": key.bytes, "purpose": "reset", "expires_at": datetime.now(UTC) + timedelta(days=1)}
        conn.execute(insert(t.mail_link).values(link | {"id": key, "member_id": member}))
    assert office.remove(Role.ADMIN, approver="anyone").status_code == 303
    assert theirs.get("/members").status_code == 401
    with office.portal.database() as conn:
        assert conn.scalar(select(t.api_token.c.revoked_at).where(t.api_token.c.id == token))
        assert conn.scalar(select(t.mail_link.c.used_at).where(t.mail_link.c.id == key))
        assert conn.scalar(select(t.invitation.c.revoked_at).where(t.invitation.c.invited_by == member))
        for table in (t.totp, t.recovery_code, t.passkey):
            assert conn.execute(select(table.c.id).where(table.c.member_id == member)).all() == []


@pytest.mark.parametrize("to", [Role.CONTRIBUTOR, Role.READ_ONLY])
def test_a_role_that_may_not_approve_hands_over_first(office: Office, to: Role) -> None:
    answer = office.change(Role.MEMBER, to)
    assert answer.status_code == 422
    assert "Choose who takes over" in answer.text
    assert f'value="{to}" checked' in answer.text, "what was chosen is kept"
    assert office.change(Role.MEMBER, to, approver=str(office.id(Role.OWNER))).status_code == 303
    assert office.approver(office.report) == office.id(Role.OWNER)
    assert office.row(Role.MEMBER).role == to


def test_a_role_that_may_approve_keeps_its_decisions(office: Office) -> None:
    assert office.change(Role.MEMBER, Role.ADMIN).status_code == 303
    assert office.approver(office.report) == office.id(Role.MEMBER)


def test_who_loses_the_right_to_api_tokens_loses_the_tokens(office: Office) -> None:
    with office.portal.database() as conn:
        token = add_token(office.portal, conn, office.id(Role.ADMIN))
    assert office.change(Role.ADMIN, Role.MEMBER).status_code == 303
    with office.portal.database() as conn:
        assert conn.scalar(select(t.api_token.c.revoked_at).where(t.api_token.c.id == token))


@pytest.mark.parametrize("path", ["", "/remove"])
def test_a_page_that_shows_another_role_changes_nothing(office: Office, path: str) -> None:
    browser, page = office.portal.signed_in(Role.OWNER), f"/members/{office.id(Role.READ_ONLY)}{path}"
    assert 'name="was" value="read_only"' in browser.get(page).text
    with office.portal.database() as conn:
        conn.execute(update(t.member).where(t.member.c.id == office.id(Role.READ_ONLY)).values(role="admin"))
    answer = browser.post(page, {"was": "read_only", "role": "contributor"}, form=page)
    assert answer.status_code == 409
    assert "has changed since you opened the page" in answer.text
    assert (office.row(Role.READ_ONLY).role, office.row(Role.READ_ONLY).state) == ("admin", "active")
