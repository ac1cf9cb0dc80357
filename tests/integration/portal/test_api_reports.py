"""Reports, receipts and members over the API, as each role."""

import io
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from api_client import Office, Program, email_of, open_office
from filled_forms import picture

from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Permission, Role, allowed
from strongroom.tenant_schema.queries import members

EXPENSES, REPORTS, RECEIPTS = "/api/v1/expenses", "/api/v1/reports", "/api/v1/receipts"

PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n%b\r\n--b--\r\n'


@pytest.fixture(scope="module")
def office(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Office:
    return open_office(platform, tenant_factory)


def submitted(office: Office, program: Program, count: int = 1) -> dict[str, Any]:
    ids = [program.post(EXPENSES, office.expense()).json["id"] for _ in range(count)]
    answer = program.post(REPORTS, {"expense_ids": ids})
    assert answer.status_code == 201, answer.text
    return answer.json


def uploaded(program: Program, name: str = "taxi.png") -> Any:
    return program.post(RECEIPTS, data={"file": (io.BytesIO(picture()), name)})


def test_a_card_number_beside_a_receipt_breaks_nothing(office: Office) -> None:
    sent = {"file": (io.BytesIO(picture()), "taxi.png"), "note": "4111 1111 1111 1111"}
    answer = office.program(Role.CONTRIBUTOR).post(RECEIPTS, data=sent)
    assert answer.status_code < 500, answer.text


def test_a_report_is_submitted_approved_and_paid(office: Office) -> None:
    spender, admin = office.program(Role.CONTRIBUTOR), office.program(Role.ADMIN)
    report = submitted(office, spender, 2)
    assert (report["state"], report["payment"], report["base_amount"]) == ("submitted", "none", "236.80")
    path = f"{REPORTS}/{report['id']}"
    approved = admin.post(f"{path}/approve", {"version": report["version"]})
    assert (approved.json["state"], approved.json["payment"]) == ("approved", "due"), approved.text
    assert approved.json["decided_by"] == str(office.people[Role.ADMIN])
    paid = admin.post(f"{path}/paid")
    assert (paid.json["payment"], paid.json["expenses"][0]["state"]) == ("paid", "paid")
    assert spender.get(path).json == paid.json


def test_a_report_is_returned_with_a_reason_and_withdrawn(office: Office) -> None:
    spender, admin = office.program(Role.MEMBER), office.program(Role.ADMIN)
    report = submitted(office, spender)
    path = f"{REPORTS}/{report['id']}"
    assert admin.post(f"{path}/return", {"version": 1, "reason": " "}).json["errors"][0]["field"] == "reason"
    returned = admin.post(f"{path}/return", {"version": 1, "reason": "Which project? 4111111111111111"})
    assert returned.json["return_reason"] == "Which project? •••• 1111"
    again = submitted(office, spender)
    withdrawn = spender.post(f"{REPORTS}/{again['id']}/withdraw")
    assert (withdrawn.json["state"], withdrawn.json["expenses"]) == ("withdrawn", [])


def test_a_decision_is_about_the_report_that_was_looked_at(office: Office) -> None:
    report = submitted(office, office.program(Role.CONTRIBUTOR))
    late = office.program(Role.ADMIN).post(f"{REPORTS}/{report['id']}/approve", {"version": 7})
    assert (late.status_code, "changed" in late.json["detail"]) == (409, True)


def test_nobody_approves_their_own_and_only_the_spender_withdraws(office: Office) -> None:
    admin, owner = office.program(Role.ADMIN), office.program(Role.OWNER)
    path = f"{REPORTS}/{submitted(office, admin)['id']}"
    assert admin.post(f"{path}/approve", {"version": 1}).status_code == 403
    assert owner.post(f"{path}/withdraw").status_code == 403


@pytest.mark.parametrize("role", list(Role))
def test_each_role_has_the_reports_that_the_portal_gives_it(office: Office, role: Role) -> None:
    theirs = submitted(office, office.program(Role.ADMIN))["id"]
    program = office.program(role)
    sees_all = role in (Role.OWNER, Role.ADMIN, Role.READ_ONLY)
    assert program.get(f"{REPORTS}/{theirs}").status_code == (200 if sees_all else 404)
    assert (theirs in {one["id"] for one in program.get(REPORTS).json["data"]}) == sees_all
    assert program.post(REPORTS, {"expense_ids": [str(uuid4())]}).status_code == (
        404 if role != Role.READ_ONLY else 403
    )
    for action, permission in (("approve", Permission.APPROVE), ("paid", Permission.PAY)):
        body = {"version": 99} if action == "approve" else None
        answer = program.post(f"{REPORTS}/{theirs}/{action}", body)
        assert answer.status_code != 200
        if not allowed(role, permission):
            assert answer.status_code == 403


def test_an_approver_sees_what_is_assigned_to_them(office: Office) -> None:
    with office.database() as conn:
        members.set_approver(conn, office.people[Role.CONTRIBUTOR], office.people[Role.MEMBER])
    report = submitted(office, office.program(Role.CONTRIBUTOR))
    approver = office.program(Role.MEMBER)
    assert report["id"] in {one["id"] for one in approver.get(REPORTS).json["data"]}
    assert approver.post(f"{REPORTS}/{report['id']}/approve", {"version": 1}).json["state"] == "approved"
    with office.database() as conn:
        members.set_approver(conn, office.people[Role.CONTRIBUTOR], None)


def test_reports_come_in_pages_and_by_state(office: Office) -> None:
    spender = office.program(Role.OWNER)
    made = [submitted(office, spender)["id"] for _ in range(3)]
    mine = {"member_id": str(office.people[Role.OWNER]), "state": "submitted", "limit": 2}
    first = spender.get(REPORTS, query_string=mine).json
    assert [one["id"] for one in first["data"]] == made[:0:-1]
    assert made[0] in {one["id"] for one in spender.get(first["next"]).json["data"]}
    assert spender.get(REPORTS, query_string=mine | {"payment": "paid"}).json == {"data": [], "next": None}


def test_a_receipt_is_uploaded_attached_read_and_detached(office: Office) -> None:
    program = office.program(Role.CONTRIBUTOR)
    made = uploaded(program, "../4111111111111111.png")
    assert made.status_code == 201, made.text
    facts = made.json
    assert (facts["media_type"], facts["width"], facts["file_name"]) == ("image/png", 40, "•••• 1111.png")
    content = program.get(facts["content"])
    assert (content.status_code, content.mimetype, len(content.data)) == (200, "image/png", facts["size"])
    assert "sandbox" in content.headers["Content-Security-Policy"]
    assert content.headers["Content-Disposition"].startswith("attachment")
    expense = program.post(EXPENSES, office.expense()).location
    attached = program.call("PUT", f"{expense}/receipts/{facts['id']}", headers={"If-Match": '"1"'})
    assert [one["id"] for one in attached.json["receipts"]] == [facts["id"]]
    assert program.call("DELETE", f"{RECEIPTS}/{facts['id']}").status_code == 404  # it proves something
    detached = program.call("DELETE", f"{expense}/receipts/{facts['id']}", headers={"If-Match": '"2"'})
    assert detached.json["receipts"] == []
    assert program.call("DELETE", f"{expense}/receipts/{facts['id']}", headers={"If-Match": '"3"'}).status_code == 404
    assert program.call("DELETE", f"{RECEIPTS}/{facts['id']}").status_code == 204
    with_one = program.post(EXPENSES, office.expense(receipt_ids=[uploaded(program).json["id"]]))
    assert len(with_one.json["receipts"]) == 1


def test_a_receipt_of_somebody_else_is_neither_shown_nor_attached(office: Office) -> None:
    foreign = uploaded(office.program(Role.ADMIN)).json["id"]
    program = office.program(Role.CONTRIBUTOR)
    for path in (f"{RECEIPTS}/{foreign}", f"{RECEIPTS}/{foreign}/content"):
        assert program.get(path).status_code == 404
    assert program.post(EXPENSES, office.expense(receipt_ids=[foreign])).status_code == 404
    expense = program.post(EXPENSES, office.expense()).location
    assert program.call("PUT", f"{expense}/receipts/{foreign}", headers={"If-Match": '"1"'}).status_code == 404


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": {"file": (io.BytesIO(b"<svg/>"), "a.svg")}}, 422),
        ({"data": {"other": (io.BytesIO(b"x"), "a.png")}}, 422),
        ({"data": {"file": (io.BytesIO(b"\x89PNG\r\n\x1a\n"), "a.png"), "expense": "x"}}, 422),
        ({"json": {"file": "x"}}, 415),
        ({"data": b"\x89PNG", "content_type": "image/png"}, 415),
        ({"data": PART % (b"x" * (21 * 1024 * 1024)), "content_type": "multipart/form-data; boundary=b"}, 413),
    ],
)
def test_what_is_no_receipt_is_refused(office: Office, sent: dict[str, Any], status: int) -> None:
    answer = office.program().call("POST", RECEIPTS, **sent)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.text


@pytest.mark.parametrize("role", list(Role))
def test_everybody_sees_who_is_here_and_who_they_are(office: Office, role: Role) -> None:
    program = office.program(role)
    me = program.get("/api/v1/me").json
    assert (me["id"], me["role"], me["email"]) == (str(office.people[role]), role.value, email_of(role))
    assert me["workspace"]["base_currency"] == "GBP"
    assert len(me["token"]["scopes"]) == 7
    people, following = list[str](), "/api/v1/members?limit=2"
    while following:
        page = program.get(following).json
        people, following = [*people, *(one["id"] for one in page["data"])], page["next"]
    assert sorted(people) == sorted(str(one) for one in office.people.values())
    assert program.get(f"/api/v1/members/{people[0]}").json["id"] == people[0]
    assert program.get("/api/v1/categories").json["data"][0]["active"] is True
