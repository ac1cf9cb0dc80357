"""Expenses over the API: by the portal's rules, in the role of the token's member."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from api_client import Office, Program, open_office
from sqlalchemy import func, select

from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Permission, Role, allowed
from strongroom.tenant_schema.tables import audit_event, expense

PATH = "/api/v1/expenses"


@pytest.fixture(scope="module")
def office(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Office:
    return open_office(platform, tenant_factory)


@pytest.fixture(scope="module")
def owner(office: Office) -> Program:
    return office.program(Role.OWNER)


def change(program: Program, path: str, version: int, **given: object) -> Any:
    return program.call("PATCH", path, json=given, headers={"If-Match": f'"{version}"'})


def test_a_draft_is_created_got_changed_and_deleted(office: Office, owner: Program) -> None:
    made = owner.post(PATH, office.expense(note="Client visit", tax_amount="7.74"))
    assert made.status_code == 201, made.text
    one = made.json
    assert (one["amount"], one["currency"], one["state"], one["version"]) == ("118.40", "GBP", "draft", 1)
    assert (one["tax_amount"], one["note"], one["receipts"]) == ("7.74", "Client visit", [])
    assert made.location == f"{PATH}/{one['id']}"
    assert made.headers["ETag"] == '"1"'
    assert owner.get(made.location).json == one
    changed = change(owner, made.location, 1, amount="-20.00", tax_amount=None)
    assert changed.status_code == 200, changed.text
    assert (changed.json["amount"], changed.json["tax_amount"], changed.json["version"]) == ("-20.00", None, 2)
    assert (changed.json["merchant"], changed.json["note"]) == ("Hotel Adler", "Client visit")
    gone = owner.call("DELETE", made.location, headers={"If-Match": '"2"'})
    assert (gone.status_code, gone.data) == (204, b"")
    assert owner.get(made.location).status_code == 404
    with office.database() as conn:
        told = select(audit_event.c.action).where(audit_event.c.object_id == one["id"]).order_by(audit_event.c.id)
        assert list(conn.scalars(told)) == ["expense.created", "expense.changed", "expense.deleted"]


@pytest.mark.parametrize("role", list(Role))
def test_each_role_sees_and_changes_what_the_portal_lets_it(office: Office, role: Role) -> None:
    others = office.program(Role.ADMIN).post(PATH, office.expense()).location
    program = office.program(role)
    made = program.post(PATH, office.expense())
    assert made.status_code == (201 if allowed(role, Permission.SPEND) else 403)
    sees_all = role in (Role.OWNER, Role.ADMIN, Role.READ_ONLY)
    assert program.get(others).status_code == (200 if sees_all else 404)
    listed = {one["member_id"] for one in program.get(PATH).json["data"]}
    assert (str(office.people[Role.ADMIN]) in listed) if sees_all else listed == {str(office.people[role])}
    if made.status_code == 201:
        assert change(program, made.location, 1, note="mine").status_code == 200
    if role is not Role.ADMIN:
        refused = change(program, others, 1, note="not mine")
        assert refused.status_code == (403 if sees_all else 404)


def test_the_rules_are_those_of_the_form_and_name_the_field(office: Office, owner: Program) -> None:
    wrong = office.expense(amount="10.5", currency="JPY", fx_rate="0.0053", merchant="  ")
    answer = owner.post(PATH, wrong)
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    told = {one["field"]: one["message"] for one in answer.json["errors"]}
    assert told == {"merchant": "Enter the merchant.", "amount": "Amounts in JPY have no decimal places."}
    foreign = owner.post(PATH, office.expense(currency="EUR"))
    assert foreign.json["errors"] == [{"field": "fx_rate", "message": "Enter what 1 EUR is worth in GBP."}]
    nowhere = owner.post(PATH, office.expense(category_id=str(uuid4())))
    assert nowhere.json["errors"] == [{"field": "category_id", "message": "Choose a category."}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("amount", 12.5), ("amount", "1,50"), ("amount", "1e3"), ("amount", "12.50\n"), ("amount", "NaN")),
        *(("spent_on", "12/03/2026"), ("category_id", "x"), ("merchant", "a\0b"), ("merchant", "\ud800")),
        *(
            ("member_id", "01890000-0000-7000-8000-000000000001"),
            ("state", "approved"),
            ("version", 9),
            ("id", "01890000-0000-7000-8000-000000000001"),
            ("receipt_ids", "x"),
        ),
    ],
)
def test_what_is_not_in_the_document_is_refused(office: Office, owner: Program, field: str, value: object) -> None:
    with office.database() as conn:
        before = conn.scalar(select(func.count()).select_from(expense))
    answer = owner.post(PATH, office.expense(**{field: value}))
    assert answer.status_code == 422, answer.text
    assert [one["field"].split(".")[0] for one in answer.json["errors"]] == [field]
    with office.database() as conn:
        assert conn.scalar(select(func.count()).select_from(expense)) == before


def test_another_currency_needs_its_own_rate(office: Office, owner: Program) -> None:
    made = owner.post(PATH, office.expense(currency="EUR", amount="100.00", fx_rate="0.85"))
    assert (made.json["base_amount"], made.json["fx_rate"]) == ("85.00", "0.85")
    assert change(owner, made.location, 1, amount="200.00").json["base_amount"] == "170.00"
    assert change(owner, made.location, 2, currency="USD").json["errors"][0]["field"] == "fx_rate"
    assert change(owner, made.location, 2, currency="GBP").json["base_amount"] == "200.00"


def test_a_card_number_is_masked(office: Office, owner: Program) -> None:
    made = owner.post(PATH, office.expense(note="paid with 4111 1111 1111 1111"))
    assert made.json["note"] == "paid with •••• 1111"


def test_a_change_goes_over_the_version_that_was_looked_at_and_no_other(office: Office, owner: Program) -> None:
    path = owner.post(PATH, office.expense()).location
    assert owner.call("PATCH", path, json={"note": "x"}).status_code == 428
    assert change(owner, path, 1, note="first").status_code == 200
    for method in ("PATCH", "DELETE"):
        body = {"json": {"note": "second"}} if method == "PATCH" else {}
        late = owner.call(method, path, headers={"If-Match": '"1"'}, **body)
        assert (late.status_code, late.json["title"]) == (412, "Precondition Failed")
    assert owner.get(path).json["note"] == "first"
    for odd in ("1", '"', "*", 'W/"2"', '"2", "3"'):
        assert owner.call("PATCH", path, json={}, headers={"If-Match": odd}).status_code in (400, 412), odd


def test_what_is_submitted_does_not_change(office: Office, owner: Program) -> None:
    made = owner.post(PATH, office.expense())
    assert owner.post("/api/v1/reports", {"expense_ids": [made.json["id"]]}).status_code == 201
    assert change(owner, made.location, 2, note="late").status_code == 409
    assert owner.call("DELETE", made.location, headers={"If-Match": '"2"'}).status_code == 409


def test_the_list_filters_as_the_page_does(office: Office) -> None:
    program = office.program(Role.CONTRIBUTOR)
    for merchant, amount, day in (("Alder", "10.00", "2026-01-05"), ("Birch", "20.00", "2026-01-06")):
        program.post(PATH, office.expense(merchant=merchant, amount=amount, spent_on=day))

    def merchants(**query: object) -> set[str]:
        found = program.get(PATH, query_string=query | {"until": query.get("until", "2026-01-31")})
        assert found.status_code == 200, found.text
        return {one["merchant"] for one in found.json["data"]}

    assert merchants(q="ald") == {"Alder"}
    assert merchants(least="15") == {"Birch"}
    assert merchants(until="2026-01-05") == {"Alder"}
    assert merchants(state=["draft", "paid"]) == {"Alder", "Birch"}
    assert merchants(state="approved") == set()
    assert merchants(category_id=str(uuid4())) == set()
    assert merchants(member_id=str(office.people[Role.OWNER])) == set()


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "q=a%00", "since=yesterday", "state=gone", "page=2"]
)
def test_a_wrong_parameter_is_named(owner: Program, query: str) -> None:
    answer = owner.get(f"{PATH}?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"].split(".")[0] == query.split("=", maxsplit=1)[0]


def test_pages_follow_one_another_and_what_comes_in_meanwhile_shifts_nothing(office: Office) -> None:
    program = office.program(Role.MEMBER)
    made = [program.post(PATH, office.expense(merchant=f"Shop {n}")).json["id"] for n in range(5)]
    first = program.get(PATH, query_string={"limit": 2, "q": "shop"})
    assert first.headers["Link"] == f'<{first.json["next"]}>; rel="next"'
    program.post(PATH, office.expense(merchant="Shop new", spent_on="2026-03-13"))
    seen, following = [one["id"] for one in first.json["data"]], first.json["next"]
    while following:
        page = program.get(following).json
        seen, following = [*seen, *(one["id"] for one in page["data"])], page["next"]
    assert seen == list(reversed(made))


def test_a_cursor_is_good_for_its_own_list_only(office: Office, owner: Program) -> None:
    for _ in range(2):
        owner.post(PATH, office.expense(merchant="Cursor"))
    following = owner.get(PATH, query_string={"limit": 1, "q": "Cursor"}).json["next"]
    assert owner.get(following).status_code == 200
    other_filter = following.replace("q=Cursor", "q=Other")
    other_list = following.replace("expenses?", "reports?").replace("q=Cursor", "")
    at = len(following) - 10  # of the last character but one not every bit counts
    tampered = following[:at] + ("a" if following[at] != "a" else "b") + following[at + 1 :]
    for wrong in (other_filter, other_list.replace("&&", "&"), tampered, f"{PATH}?cursor=2026-03-12"):
        answer = owner.get(wrong)
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "cursor"), wrong
