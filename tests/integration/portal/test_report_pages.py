"""Submit, withdraw, approve, return, pay: who may, in which state, once."""

import re
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import categories, expenses, reports, settings
from strongroom.tenant_schema.tables import approval_step, audit_event, expense, member, report

Portal = Any  # the class is in visitors.py
Browser = Any
ANY_FORM = "/expenses/new"


@pytest.fixture(scope="module")
def category(portal: Portal) -> str:
    with portal.database() as conn:
        return str(categories.list_all(conn)[0].id)


def draft(browser: Browser, category: str, merchant: str = "Taxi", amount: str = "10.00") -> str:
    expense_id = str(uuid4())
    form = {"id": expense_id, "merchant": merchant, "amount": amount, "currency": "GBP", "spent_on": "2024-03-12"}
    assert browser.post("/expenses/new", form | {"category": category}, form=ANY_FORM).status_code == 303
    return expense_id


def submit(browser: Browser, *expense_ids: str) -> str:
    answer = browser.post("/expenses/submit", {"expense": list(expense_ids)}, form=ANY_FORM)
    assert answer.status_code == 303, answer.text
    return answer.location.rsplit("/", 1)[1]


def decide(browser: Browser, report_id: str, action: str, **typed: str) -> Any:
    typed.setdefault("version", "1")
    return browser.post(f"/reports/{report_id}/{action}", typed, form=ANY_FORM)


def states(portal: Portal, report_id: str) -> tuple[str, set[str]]:
    with portal.database() as conn:
        of_report = conn.execute(select(report.c.state).where(report.c.id == UUID(report_id))).scalar_one()
        of_lines = conn.scalars(select(expense.c.state).where(expense.c.report_id == UUID(report_id)))
        return of_report, set(of_lines)


def actions(portal: Portal, report_id: str) -> list[str]:
    with portal.database() as conn:
        found = select(audit_event.c.action).where(audit_event.c.object_id == UUID(report_id))
        return list(conn.scalars(found.order_by(audit_event.c.id)))


def test_submitted_approved_and_paid(portal: Portal, category: str) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    report_id = submit(spender, draft(spender, category, "Approved Hotel"), draft(spender, category, "Approved Taxi"))
    assert states(portal, report_id) == ("submitted", {"submitted"})
    assert report_id in admin.get("/approvals").text
    assert decide(admin, report_id, "approve").status_code == 303
    assert states(portal, report_id) == ("approved", {"approved"})
    assert report_id not in admin.get("/approvals").text
    assert report_id in admin.get("/approvals?view=decided").text
    assert decide(spender, report_id, "paid").status_code == 403
    assert decide(admin, report_id, "paid").status_code == 303
    assert decide(admin, report_id, "paid").status_code == 303
    assert "Approved Hotel" in spender.get("/expenses?state=paid").text
    assert actions(portal, report_id) == ["report.submitted", "report.approved", "report.paid"]


def test_a_returned_report_says_why_and_its_expenses_go_again(portal: Portal, category: str) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    expense_id = draft(spender, category)
    report_id = submit(spender, expense_id)
    without = decide(admin, report_id, "return", reason="  ")
    assert without.status_code == 422
    assert "Say what should be changed." in without.text
    assert decide(admin, report_id, "return", reason="Whose taxi? 4111111111111111").status_code == 303
    assert states(portal, report_id) == ("returned", {"returned"})
    page = spender.get(f"/expenses/{expense_id}").text
    assert "Whose taxi? •••• 1111" in page
    assert 'name="amount"' in page
    again = submit(spender, expense_id)
    assert again != report_id
    assert states(portal, again) == ("submitted", {"submitted"})
    assert actions(portal, report_id) == ["report.submitted", "report.returned"]


def test_a_withdrawn_report_leaves_drafts(portal: Portal, category: str) -> None:
    spender = portal.signed_in(Role.CONTRIBUTOR)
    expense_id = draft(spender, category)
    report_id = submit(spender, expense_id)
    assert decide(portal.signed_in(Role.ADMIN), report_id, "withdraw").status_code == 403
    assert decide(spender, report_id, "withdraw").status_code == 303
    assert decide(spender, report_id, "withdraw").status_code == 303
    assert states(portal, report_id) == ("withdrawn", set())
    with portal.database() as conn:
        row = conn.execute(select(expense).where(expense.c.id == UUID(expense_id))).one()
    assert (row.state, row.report_id) == ("draft", None)
    assert actions(portal, report_id) == ["report.submitted", "report.withdrawn"]


def test_what_is_submitted_or_approved_no_longer_changes(portal: Portal, category: str) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    expense_id = draft(spender, category)
    report_id = submit(spender, expense_id)
    form = {"merchant": "X", "amount": "1", "currency": "GBP", "spent_on": "2024-03-12", "category": category}
    path = f"/expenses/{expense_id}"
    for _ in ("submitted", "approved"):
        assert spender.post(path, form | {"version": "2"}, form=ANY_FORM).status_code == 409
        assert spender.post(f"{path}/delete", form=ANY_FORM).status_code == 409
        decide(admin, report_id, "approve")
    assert decide(spender, report_id, "withdraw").status_code == 409
    assert decide(admin, report_id, "return", reason="late").status_code == 409
    assert states(portal, report_id) == ("approved", {"approved"})


def test_a_double_click_on_submit_makes_one_report(portal: Portal, category: str) -> None:
    spender = portal.signed_in(Role.CONTRIBUTOR)
    expense_ids = [draft(spender, category) for _ in range(3)]
    assert submit(spender, *expense_ids) == submit(spender, *expense_ids)


def test_two_submits_at_once_make_one_report(portal: Portal, category: str) -> None:
    spender = portal.signed_in(Role.CONTRIBUTOR)
    expense_ids = [draft(spender, category) for _ in range(3)]
    twins = [portal.signed_in(Role.CONTRIBUTOR) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda one: submit(one, *expense_ids), twins))) == 1


def test_of_two_decisions_at_once_one_counts(portal: Portal, category: str) -> None:
    spender = portal.signed_in(Role.CONTRIBUTOR)
    report_id = submit(spender, draft(spender, category))
    owner, admin = portal.signed_in(Role.OWNER), portal.signed_in(Role.ADMIN)
    with ThreadPoolExecutor(2) as pool:
        answers = [
            pool.submit(decide, owner, report_id, "approve"),
            pool.submit(decide, admin, report_id, "return", reason="no"),
        ]
        assert sorted(one.result().status_code for one in answers) == [303, 409]
    assert len(actions(portal, report_id)) == 2


def test_a_decision_waits_for_one_that_is_being_made(portal: Portal, category: str) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    report_id = submit(spender, draft(spender, category))
    with ThreadPoolExecutor(1) as pool:
        with portal.database() as conn:
            reports.lock(conn, UUID(report_id))
            later = pool.submit(decide, admin, report_id, "return", reason="no")
            assert not wait([later], timeout=0.5).done
            expenses.set_state_of_report(conn, UUID(report_id), "approved")
            reports.set_state(conn, UUID(report_id), "approved")
        assert later.result().status_code == 409
    assert states(portal, report_id) == ("approved", {"approved"})


def test_a_report_that_changed_since_it_was_shown_is_looked_at_again(portal: Portal, category: str) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    report_id = submit(spender, draft(spender, category))
    assert decide(admin, report_id, "approve", version="7").status_code == 409
    assert states(portal, report_id) == ("submitted", {"submitted"})


def test_nobody_approves_their_own(portal: Portal, category: str) -> None:
    for role in (Role.OWNER, Role.ADMIN, Role.MEMBER):
        browser = portal.signed_in(role)
        report_id = submit(browser, draft(browser, category))
        answer = decide(browser, report_id, "approve")
        assert answer.status_code == 403, role
        assert "Nobody approves their own" in answer.text
        assert decide(browser, report_id, "return", reason="x").status_code == 403
        assert report_id not in browser.get("/approvals").text
        assert states(portal, report_id) == ("submitted", {"submitted"})


def test_a_member_decides_only_what_is_assigned(portal: Portal, category: str) -> None:
    spender, approver = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.MEMBER)
    unassigned = submit(spender, draft(spender, category))
    assert decide(approver, unassigned, "approve").status_code == 404
    assert approver.get(f"/reports/{unassigned}").status_code == 404
    set_approver(portal, Role.CONTRIBUTOR, Role.MEMBER)
    try:
        expense_id = draft(spender, category, "For The Approver")
        assert approver.get(f"/expenses/{expense_id}").status_code == 404
        assigned = submit(spender, expense_id)
        assert approver.get(f"/expenses/{expense_id}").status_code == 200
        assert assigned in approver.get("/approvals").text
        assert assigned not in portal.signed_in(Role.ADMIN).get("/approvals").text
        assert decide(approver, assigned, "approve").status_code == 303
    finally:
        set_approver(portal, Role.CONTRIBUTOR, None)


def test_an_admin_who_decides_in_place_of_the_approver_is_named(portal: Portal, category: str) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    set_approver(portal, Role.CONTRIBUTOR, Role.MEMBER)
    try:
        report_id = submit(spender, draft(spender, category))
    finally:
        set_approver(portal, Role.CONTRIBUTOR, None)
    assert report_id in admin.get("/approvals?view=all").text
    assert decide(admin, report_id, "approve").status_code == 303
    with portal.database() as conn:
        detail = conn.execute(
            select(audit_event.c.detail).where(
                audit_event.c.object_id == UUID(report_id), audit_event.c.action == "report.approved"
            )
        ).scalar_one()
        decided_by = conn.scalar(select(approval_step.c.decided_by).where(approval_step.c.report_id == UUID(report_id)))
    assert detail == {"bypassed": str(portal.people["acme", Role.MEMBER])}
    assert decided_by == portal.people["acme", Role.ADMIN]


def test_who_works_alone_approves_their_own_only_if_the_setting_says_so(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER, "birch")
    with portal.database("birch") as conn:
        only = str(categories.list_all(conn)[0].id)
        others = update(member).where(member.c.id != portal.people["birch", Role.OWNER])
        conn.execute(others.values(state="removed"))
    try:
        expense_id = draft(browser, only)
        refused = browser.post("/expenses/submit", {"expense": expense_id}, form=ANY_FORM)
        assert refused.status_code == 409
        assert "Nobody here could approve this" in refused.text
        with portal.database("birch") as conn:
            settings.put(conn, settings.SELF_APPROVAL, True)
        report_id = submit(browser, expense_id)
        assert "Approve 10.00 GBP" in browser.get(f"/reports/{report_id}").text
        assert decide(browser, report_id, "approve").status_code == 303
        with portal.database("birch") as conn:
            found = select(audit_event.c.detail).where(audit_event.c.action == "report.approved")
            assert conn.scalars(found).all() == [{"own": True}]
    finally:
        with portal.database("birch") as conn:
            settings.put(conn, settings.SELF_APPROVAL, False)
            conn.execute(update(member).values(state="active"))


def test_what_counts_in_the_former_base_currency_is_saved_again_first(portal: Portal, category: str) -> None:
    spender = portal.signed_in(Role.CONTRIBUTOR)
    expense_id = draft(spender, category, "Before The Change")
    with portal.database() as conn:
        settings.put(conn, settings.BASE_CURRENCY, "EUR")
    try:
        answer = spender.post("/expenses/submit", {"expense": expense_id}, form=ANY_FORM)
        assert answer.status_code == 409
        assert "still counts in GBP" in answer.text
        form = {"merchant": "After", "amount": "10.00", "currency": "GBP", "spent_on": "2024-03-12", "fx_rate": "1.2"}
        path = f"/expenses/{expense_id}"
        assert spender.post(path, form | {"category": category, "version": "1"}, form=ANY_FORM).status_code == 303
        assert "12.00 EUR" in re.sub(r"\s*<[^>]+>\s*", " ", spender.get(f"/reports/{submit(spender, expense_id)}").text)
    finally:
        with portal.database() as conn:
            settings.put(conn, settings.BASE_CURRENCY, "GBP")


def test_others_drafts_and_unknown_ids_cannot_be_submitted(portal: Portal, category: str) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    theirs, mine = draft(spender, category), draft(admin, category)
    for chosen in ([theirs], [mine, theirs], [mine, str(uuid4())]):
        assert admin.post("/expenses/submit", {"expense": chosen}, form=ANY_FORM).status_code == 404
    assert admin.post("/expenses/submit", {}, form=ANY_FORM).status_code == 422
    assert admin.post("/expenses/submit", {"expense": "x"}, form=ANY_FORM).status_code == 422
    with portal.database() as conn:
        rows = conn.scalars(select(expense.c.state).where(expense.c.id.in_([UUID(theirs), UUID(mine)]))).all()
    assert rows == ["draft", "draft"]


def test_save_and_submit_does_both_or_neither(portal: Portal, category: str) -> None:
    spender = portal.signed_in(Role.CONTRIBUTOR)
    form = {"id": str(uuid4()), "merchant": "Both", "amount": "1", "currency": "GBP", "spent_on": "2024-03-12"}
    answer = spender.post("/expenses/new", form | {"category": category, "then": "submit"}, form=ANY_FORM)
    assert answer.status_code == 303
    page = spender.get("/expenses?q=Both").text
    assert "Submitted 1 expense to an Admin for approval." in page
    assert "pill-submitted" in page


def test_the_report_page_tells_the_whole_story(portal: Portal, category: str) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    report_id = submit(spender, draft(spender, category, "Story Hotel", "99.90"))
    decide(admin, report_id, "approve")
    page = portal.signed_in(Role.READ_ONLY).get(f"/reports/{report_id}").text
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "Story Hotel" in plain
    assert "99.90 GBP" in plain
    assert "The Admin approved it" in plain
    assert "The Contributor submitted it for approval" in plain


def set_approver(portal: Portal, who: Role, approver: Role | None) -> None:
    with portal.database() as conn:
        chosen = portal.people["acme", approver] if approver else None
        conn.execute(update(member).where(member.c.id == portal.people["acme", who]).values(approver_id=chosen))
