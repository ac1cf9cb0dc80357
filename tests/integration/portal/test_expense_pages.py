"""Creating, finding, changing and deleting expenses in the real portal."""

import re
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import categories
from strongroom.tenant_schema.tables import audit_event, expense

Portal = Any  # the class is in visitors.py
Browser = Any
HIDDEN_ID = re.compile(r'name="id" value="([^"]+)"')


@pytest.fixture(scope="module")
def category(portal: Portal) -> str:
    with portal.database() as conn:
        return str(categories.list_all(conn)[0].id)


def fields(category: str, **typed: str) -> dict[str, str]:
    usual = {"merchant": "Café Nero", "amount": "12.50", "currency": "GBP", "spent_on": "12/03/2024"}
    return usual | {"category": category, "id": str(uuid4())} | typed


def add(browser: Browser, category: str, **typed: str) -> UUID:
    form = fields(category, **typed)
    answer = browser.post("/expenses/new", form, form="/expenses/new")
    assert answer.status_code == 303, answer.text
    return UUID(form["id"])


def stored(portal: Portal, expense_id: UUID, slug: str = "acme") -> Any:
    with portal.database(slug) as conn:
        return conn.execute(select(expense).where(expense.c.id == expense_id)).one_or_none()


def test_a_new_expense_is_stored_exactly_and_listed(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.CONTRIBUTOR)
    expense_id = add(browser, category, merchant="Bäckerei Süß", amount="1,234.50", tax_amount="205.75", note="Lunch")
    row = stored(portal, expense_id)
    assert (row.amount, row.currency, row.base_amount, row.state) == (Decimal("1234.50"), "GBP", 1234.5, "draft")
    assert b"Lunch" not in row.note
    listed = browser.get("/expenses").text
    assert "Bäckerei Süß" in listed
    assert "1,234.50" in listed


def test_a_foreign_amount_needs_its_rate_and_keeps_it(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.MEMBER)
    answer = browser.post("/expenses/new", fields(category, currency="EUR"), form="/expenses/new")
    assert answer.status_code == 422
    assert "Enter what 1 EUR is worth in GBP." in answer.text
    row = stored(portal, add(browser, category, currency="EUR", fx_rate="0.8532"))
    assert (row.fx_rate, row.base_amount, row.fx_source) == (Decimal("0.8532"), Decimal("10.66"), "entered by hand")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"amount": "NaN"}, "Write the amount in digits"),
        ({"amount": "-3"}, "This is a refund"),
        ({"amount": "12.345"}, "at most 2 decimal places"),
        ({"amount": "99999999999999"}, "too large"),
        ({"spent_on": "yesterday"}, "Write the date in digits"),
        ({"spent_on": "12 March 2024"}, "Write the date in digits"),
        ({"spent_on": "12/03/2999"}, "in the future"),
        ({"merchant": "  "}, "Enter the merchant."),
        ({"category": "x"}, "Choose a category."),
        ({"category": str(uuid4())}, "Choose a category."),
        ({"currency": "XYZ"}, "is not a currency"),
        ({"note": "x" * 2001}, "A note may have up to"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_is_kept(
    portal: Portal, category: str, typed: dict[str, str], sentence: str
) -> None:
    browser = portal.signed_in(Role.MEMBER)
    form = fields(category, merchant="Kept Merchant") | typed
    answer = browser.post("/expenses/new", form, form="/expenses/new")
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert typed.get("merchant", "Kept Merchant") in answer.text
    assert stored(portal, UUID(form["id"])) is None


def test_a_refund_is_a_negative_amount(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.MEMBER)
    assert stored(portal, add(browser, category, refund="yes")).amount == Decimal("-12.50")
    assert stored(portal, add(browser, category, refund="yes", amount="-12.50")).amount == Decimal("-12.50")


def test_card_numbers_are_masked_before_they_are_stored(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.MEMBER)
    expense_id = add(browser, category, merchant="Shop 4111 1111 1111 1111", note="paid by 5555-5555-5555-4444")
    assert stored(portal, expense_id).merchant == "Shop •••• 1111"
    page = browser.get(f"/expenses/{expense_id}").text
    assert "paid by •••• 4444" in page
    assert not re.search(r"5555\D?5555", page)


def test_a_form_sent_twice_makes_one_expense(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.MEMBER)
    token = browser.token("/expenses/new")
    form = fields(category, merchant="Sent Twice") | {"csrf_token": token}
    assert [browser.post_bare("/expenses/new", form).status_code for _ in range(2)] == [303, 303]
    assert browser.get("/expenses?q=Sent+Twice").text.count("data-row>") == 1


def test_save_and_submit_pressed_twice_makes_one_report(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.MEMBER)
    token = browser.token("/expenses/new")
    form = fields(category, merchant="Submitted Twice") | {"csrf_token": token, "then": "submit"}
    assert [browser.post_bare("/expenses/new", form).status_code for _ in range(2)] == [303, 303]
    assert browser.get("/expenses?q=Submitted+Twice").text.count("data-row>") == 1


def test_every_form_brings_an_id_of_its_own(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER)
    first, second = (HIDDEN_ID.search(browser.get("/expenses/new").text) for _ in range(2))
    assert first
    assert second
    assert first[1] != second[1]


def test_of_two_tabs_the_later_one_is_told_and_keeps_what_was_typed(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.MEMBER)
    expense_id = add(browser, category, merchant="Two Tabs")
    path = f"/expenses/{expense_id}"
    first = fields(category, merchant="First Tab", amount="20.00", version="1")
    second = fields(category, merchant="Second Tab", amount="30.00", version="1")
    assert browser.post(path, first, form=path).status_code == 303
    answer = browser.post(path, second, form=path)
    assert answer.status_code == 409
    assert "changed in another tab" in answer.text
    assert "Merchant there: First Tab" in answer.text
    assert 'value="Second Tab"' in answer.text
    assert stored(portal, expense_id).merchant == "First Tab"
    assert browser.post(path, second | {"version": "2"}, form=path).status_code == 303
    assert stored(portal, expense_id).merchant == "Second Tab"


def test_changes_are_audited_with_their_values(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.MEMBER)
    expense_id = add(browser, category)
    path = f"/expenses/{expense_id}"
    browser.post(path, fields(category, amount="13.00", note="why", version="1"), form=path)
    with portal.database() as conn:
        rows = conn.execute(
            select(audit_event.c.action, audit_event.c.detail)
            .where(audit_event.c.object_id == expense_id)
            .order_by(audit_event.c.id)
        ).all()
    assert [row.action for row in rows] == ["expense.created", "expense.changed"]
    assert rows[1].detail == {"changed": {"amount": ["12.5000", "13.00"], "note": []}}


def test_a_draft_can_be_deleted_by_its_owner_only(portal: Portal, category: str) -> None:
    owner_of_it, admin = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.ADMIN)
    expense_id = add(owner_of_it, category)
    refused = admin.post(f"/expenses/{expense_id}/delete", form="/expenses/new")
    assert refused.status_code == 403
    assert stored(portal, expense_id) is not None
    assert owner_of_it.post(f"/expenses/{expense_id}/delete", form="/expenses/new").status_code == 303
    assert stored(portal, expense_id) is None
    assert owner_of_it.get(f"/expenses/{expense_id}").status_code == 404


def test_others_expenses_are_seen_as_the_table_says(portal: Portal, category: str) -> None:
    expense_id = add(portal.signed_in(Role.MEMBER), category, merchant="Whose Is It")
    expected = {Role.OWNER: 200, Role.ADMIN: 200, Role.MEMBER: 200, Role.CONTRIBUTOR: 404, Role.READ_ONLY: 200}
    for role, status in expected.items():
        browser = portal.signed_in(role)
        assert browser.get(f"/expenses/{expense_id}").status_code == status, role
        assert ("Whose Is It" in browser.get("/expenses?q=Whose").text.split('id="results"')[1]) is (status == 200), (
            role
        )


def test_a_member_sees_no_others_without_being_their_approver(portal: Portal, category: str) -> None:
    expense_id = add(portal.signed_in(Role.CONTRIBUTOR), category)
    assert portal.signed_in(Role.MEMBER).get(f"/expenses/{expense_id}").status_code == 404


def test_an_expense_of_another_workspace_does_not_exist_here(portal: Portal, category: str) -> None:
    expense_id = add(portal.signed_in(Role.MEMBER), category)
    foreign = portal.signed_in(Role.OWNER, "birch")
    path = f"/expenses/{expense_id}"
    assert foreign.get(path).status_code == 404
    for action in ("", "/delete"):
        assert foreign.post(path + action, fields(category, version="1"), form="/expenses/new").status_code == 404
    assert foreign.post("/expenses/submit", {"expense": str(expense_id)}, form="/expenses/new").status_code == 404
    assert stored(portal, expense_id).state == "draft"


def test_fields_that_no_form_has_change_nothing(portal: Portal, category: str) -> None:
    browser = portal.signed_in(Role.MEMBER)
    extra = {"state": "approved", "member_id": str(portal.people["acme", Role.OWNER]), "base_amount": "1"}
    row = stored(portal, add(browser, category, **extra))
    assert (row.state, row.member_id) == ("draft", portal.people["acme", Role.MEMBER])
    assert row.base_amount == Decimal("12.50")
