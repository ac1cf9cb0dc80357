"""Fields that a form does not have, and ids beyond one's reach, on every route: nothing of it changes or shows."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from filled_forms import PARAMETER, a_category, made_expense, made_receipt, routes, typed
from sqlalchemy import select
from visitors import Browser, Portal, of_its_own

from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import guard
from strongroom.platform.web.permissions import Role, allowed
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7


@pytest.fixture(scope="module")
def house(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Portal:
    return of_its_own(portal, tenant_factory())


@pytest.fixture(scope="module")
def category(house: Portal) -> str:
    return a_category(house, "acme")


def loaded(house: Portal, **own: object) -> dict[str, object]:
    """Values for columns that no form sets, and what the form itself has."""
    owner = str(house.people["acme", Role.OWNER])
    columns = {"role": "owner", "state": "approved", "member_id": owner, "user_id": owner, "owner_id": owner}
    columns |= {"approver_id": owner, "report_id": str(new_uuid7()), "created_at": "2001-01-01", "version": "7"}
    columns |= {"base_amount": "0.01", "base_currency": "XXX", "digits": "0", "payment": "paid", "is_admin": "1"}
    columns |= {"invited_by": owner, "expires_at": "2999-01-01", "uploaded_by": owner, "decided_by": owner}
    columns |= {"plan": "team", "slug": "stolen", "region": "moon", "tenant_id": "t_x", "session_id": owner}
    columns |= {"password_hash": "x", "email_index": "x", "id": str(uuid4()), "confirmed_at": "2001-01-01"}
    return columns | own


def expense(house: Portal, expense_id: str) -> Any:
    with house.database() as conn:
        return conn.execute(select(t.expense).where(t.expense.c.id == UUID(expense_id))).one()


def people(house: Portal) -> list[Any]:
    """Who everybody is, with what none of the forms below may change."""
    m = t.member.c
    with house.database() as conn:
        columns = m.id, m.role, m.state, m.approver_id, m.email_index, m.password_hash, m.created_at
        return list(conn.execute(select(*columns).order_by(m.id)))


def test_an_expense_is_its_senders_draft_whatever_the_form_says(house: Portal, category: str) -> None:
    browser, me = house.signed_in(Role.CONTRIBUTOR), house.people["acme", Role.CONTRIBUTOR]
    form = loaded(house, merchant="Rail", amount="7", currency="GBP", spent_on="2024-03-12", category=category)
    assert browser.post("/expenses/new", form, form="/expenses/new").status_code == 303
    made = expense(house, str(form["id"]))
    assert (made.member_id, made.state, made.report_id, made.version) == (me, "draft", None, 1)
    assert (str(made.base_amount), made.base_currency, made.digits) == ("7.0000", "GBP", 2)
    assert made.created_at.year > 2001
    form |= {"version": "1", "amount": "8", "id": str(uuid4())}
    assert browser.post(f"/expenses/{made.id}", form, form=f"/expenses/{made.id}").status_code == 303
    after = expense(house, str(made.id))
    assert (after.member_id, after.state, after.report_id, after.version) == (me, "draft", None, 2)


def test_a_report_is_its_senders_and_waits_whatever_the_form_says(house: Portal, category: str) -> None:
    browser, me = house.signed_in(Role.CONTRIBUTOR), house.people["acme", Role.CONTRIBUTOR]
    form = loaded(house, expense=made_expense(browser, category, "Hotel"), approver=str(me), decision="approved")
    answer = browser.post("/expenses/submit", form, form="/expenses/new")
    assert answer.status_code == 303
    with house.database() as conn:
        report_id = UUID(answer.location.rsplit("/", 1)[1])
        made = conn.execute(select(t.report).where(t.report.c.id == report_id)).one()
        step = conn.execute(select(t.approval_step).where(t.approval_step.c.report_id == report_id)).one()
    assert (made.member_id, made.state, made.payment, made.version) == (me, "submitted", "none", 1)
    assert (step.approver_id, step.decision, step.decided_by) == (None, None, None)


def test_an_invitation_is_from_its_sender_and_for_seven_days(house: Portal) -> None:
    form = loaded(house, email="mass@x.example", role="contributor")
    page = "/members/invite"
    assert house.signed_in(Role.ADMIN).post(page, form, form=page).status_code == 200
    with house.database() as conn:
        made = conn.execute(select(t.invitation).order_by(t.invitation.c.id.desc()).limit(1)).one()
    assert (made.invited_by, made.role) == (house.people["acme", Role.ADMIN], "contributor")
    assert (made.expires_at - made.created_at).days in (6, 7)


@pytest.mark.parametrize("role", [Role.CONTRIBUTOR, Role.MEMBER, Role.READ_ONLY])
def test_no_form_of_the_portal_makes_a_member_more_than_they_are(house: Portal, role: Role) -> None:
    """Every form there is, with every column's name in it; what it is for it may do."""
    before, browser = people(house), house.signed_in(role)
    token = browser.token("/members")
    me = str(house.people["acme", role])
    for rule, method in routes(house.app):
        if method != "POST" or rule.endpoint in ("access.sign_out", "settings.save_password"):
            continue
        path = PARAMETER.sub(me, rule.rule)
        form = {**typed(house), **loaded(house, member=me, name="Same Name", email=house.email(role))}
        house.app.extensions["strongroom_limiter"].reset()
        answer = browser.post_bare(path, form | {"csrf_token": token})
        assert answer.status_code < 500, rule.rule
        if browser.cookie("__Host-session") is None or answer.status_code in (400, 401):
            browser = house.signed_in(role)
            token = browser.token("/members")
    assert people(house) == before


@pytest.mark.parametrize("role", [Role.CONTRIBUTOR, Role.MEMBER])
def test_others_drafts_receipts_and_reports_are_not_there(house: Portal, category: str, role: Role) -> None:
    """On every route that names one: 404 as for an id that is nothing, or 403 where the role could never do it."""
    owner, thief = house.signed_in(Role.OWNER), house.signed_in(role)
    draft = made_expense(owner, category, "Secret Hotel", made_receipt(owner, "secret"))
    sent = owner.post("/expenses/submit", {"expense": made_expense(owner, category, "Sent")}, form="/expenses/new")
    others = {"expense_id": draft, "receipt_id": made_receipt(owner, "loose")}
    others["report_id"] = sent.location.rsplit("/", 1)[1]
    tried = set[str]()
    for rule, method in routes(house.app):
        named = rule.arguments & set(others)
        if not named or guard.need_of(house.app, rule.endpoint) is None:
            continue
        path = PARAMETER.sub(lambda found: others.get(found[1], str(uuid4())), rule.rule)
        answer = ask(thief, path, method)
        need = guard.need_of(house.app, rule.endpoint)
        assert need
        assert answer.status_code == (404 if allowed(role, need) else 403), f"{method} {rule.rule}"
        assert "Secret Hotel" not in answer.text
        tried |= named
    assert tried == set(others)


def ask(browser: Browser, path: str, method: str) -> Any:
    return browser.get(path) if method == "GET" else browser.post(path, {"version": "1"}, form="/members")
