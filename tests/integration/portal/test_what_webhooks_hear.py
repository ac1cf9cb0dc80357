"""What people do in the portal is told to the endpoints in the same transaction, with ids and amounts only."""

import json
from collections.abc import Generator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from strongroom.platform.web.permissions import Role
from strongroom.platform.webhooks.events import EVENTS
from strongroom.platform.webhooks.signature import new_secret
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import categories, webhooks

Portal = Any  # the class is in visitors.py
Browser = Any
ANY_FORM = "/expenses/new"
MERCHANT, NOTE = "The canary's own hotel", "a note about the canary"


@pytest.fixture
def listening(portal: Portal) -> Generator[None]:
    """An endpoint of “birch” that wants everything."""
    row_id, c, cipher = new_uuid7(), tables.webhook_endpoint.c, portal.cipher("birch")
    values = {
        "id": row_id,
        "url": cipher.seal(c.url, row_id, "https://hooks.customer.example/"),
        "description": cipher.seal(c.description, row_id, ""),
        "events": list(EVENTS),
        "secret": cipher.seal(c.secret, row_id, new_secret()),
        "created_by": portal.people["birch", Role.OWNER],
    }
    with portal.database("birch") as conn:
        webhooks.insert_endpoint(conn, values)
    yield
    with portal.database("birch") as conn:
        conn.execute(tables.webhook_endpoint.delete())
        conn.execute(tables.webhook_event.delete())


def heard(portal: Portal) -> list[dict[str, Any]]:
    """The messages so far, the oldest first; they are forgotten then."""
    event, cipher = tables.webhook_event, portal.cipher("birch")
    with portal.database("birch") as conn:
        rows = conn.execute(select(event.c.id, event.c.payload).order_by(event.c.id)).all()
        found = [cipher.open(event.c.payload, *row) for row in rows]
        conn.execute(event.delete())
    assert not [body for body in found if "canary" in body or "@" in body or "The Owner" in body]
    return [json.loads(body) for body in found]


def enter(portal: Portal, browser: Browser, amount: str = "12.5", expense_id: str | None = None, **more: str) -> str:
    with portal.database("birch") as conn:
        category = str(categories.list_all(conn)[0].id)
    form = {"id": expense_id or str(uuid4()), "merchant": MERCHANT, "amount": amount, "currency": "EUR", "note": NOTE}
    form |= {"spent_on": "2024-03-12", "category": category, "fx_rate": "0.85"} | more
    path = f"/expenses/{expense_id}" if expense_id else "/expenses/new"
    assert browser.post(path, form, form=ANY_FORM).status_code == 303
    return form["id"]


@pytest.mark.usefixtures("listening")
def test_an_expense_from_its_entry_to_its_payment(portal: Portal) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR, "birch"), portal.signed_in(Role.ADMIN, "birch")
    expense_id = enter(portal, spender)
    enter(portal, spender, "20", expense_id, version="1")
    report_id = spender.post("/expenses/submit", {"expense": [expense_id]}, form=ANY_FORM).location.rsplit("/", 1)[1]
    for action in ("approve", "paid", "paid"):
        assert admin.post(f"/reports/{report_id}/{action}", {"version": "1"}, form=ANY_FORM).status_code == 303
    created, changed, submitted, *decided = heard(portal)
    assert created["type"] == "expense.created"
    assert created["data"] | {"category_id": None} == {
        "expense_id": expense_id,
        "member_id": str(portal.people["birch", Role.CONTRIBUTOR]),
        "report_id": None,
        "state": "draft",
        "spent_on": "2024-03-12",
        "category_id": None,
        "amount": "12.50",
        "currency": "EUR",
        "base_amount": "10.62",
        "base_currency": "GBP",
    }
    assert (changed["type"], changed["data"]["amount"]) == ("expense.changed", "20.00")
    assert (submitted["type"], submitted["data"]["state"]) == ("report.submitted", "submitted")
    assert [one["type"] for one in decided] == ["report.approved", "expense.approved", "report.paid"]
    paid = decided[-1]["data"]
    assert (paid["state"], paid["payment"], paid["amount"], paid["currency"]) == ("approved", "paid", "17.00", "GBP")
    assert paid["decided_by"] == str(portal.people["birch", Role.ADMIN])
    assert decided[1]["data"]["report_id"] == report_id


@pytest.mark.usefixtures("listening")
def test_a_returned_report_and_its_expenses(portal: Portal) -> None:
    spender, admin = portal.signed_in(Role.CONTRIBUTOR, "birch"), portal.signed_in(Role.ADMIN, "birch")
    ids = [enter(portal, spender) for _ in range(2)]
    report_id = spender.post("/expenses/submit", {"expense": ids}, form=ANY_FORM).location.rsplit("/", 1)[1]
    heard(portal)
    returned = {"version": "1", "reason": "the canary again"}
    assert admin.post(f"/reports/{report_id}/return", returned, form=ANY_FORM).status_code == 303
    types = [one["type"] for one in heard(portal)]
    assert types == ["report.returned", "expense.returned", "expense.returned"]


@pytest.mark.usefixtures("listening")
def test_a_request_that_is_refused_tells_nothing(portal: Portal) -> None:
    spender = portal.signed_in(Role.CONTRIBUTOR, "birch")
    form = {"id": str(uuid4()), "merchant": MERCHANT, "amount": "nothing"}
    assert spender.post("/expenses/new", form, form=ANY_FORM).status_code == 422
    assert heard(portal) == []


@pytest.mark.usefixtures("listening")
def test_the_worker_is_woken_once_a_request_is_committed(portal: Portal) -> None:
    mine = "task_name = 'deliver_webhooks' AND status = 'todo' AND args->>'tenant_id' = :tenant"
    with portal.platform.control.begin() as control:
        values = {"tenant": portal.workspaces["birch"].id}
        control.execute(text(f"DELETE FROM procrastinate_jobs WHERE {mine}"), values)
    enter(portal, portal.signed_in(Role.CONTRIBUTOR, "birch"))
    with portal.platform.control.connect() as control:
        assert control.scalar(text(f"SELECT count(*) FROM procrastinate_jobs WHERE {mine}"), values) == 1


def test_without_an_endpoint_nothing_is_written(portal: Portal) -> None:
    enter(portal, portal.signed_in(Role.CONTRIBUTOR, "birch"))
    assert heard(portal) == []
