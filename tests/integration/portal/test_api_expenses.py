"""Expenses over the API: by the portal's rules, in the role of the token's member."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from api_client import Office, Program, open_office
from sqlalchemy import select

from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import audit_event, expense

PATH = "/api/v1/expenses"


@pytest.fixture(scope="module")
def office(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Office:
    return open_office(platform, tenant_factory)


@pytest.fixture(scope="module")
def owner(office: Office) -> Program:
    return office.program(Role.OWNER)


def test_a_draft_is_created_got_changed_and_deleted(office: Office, owner: Program) -> None:
    made = owner.post(PATH, office.expense(note="Client visit", tax_amount="7.74"))
    assert made.status_code == 201, made.text
    one = made.json
    assert (one["amount"], one["currency"], one["state"], one["version"]) == ("118.40", "GBP", "draft", 1)
    assert (one["tax_amount"], one["note"], one["receipts"]) == ("7.74", "Client visit", [])
    assert made.location == f"{PATH}/{one['id']}"
    assert made.headers["ETag"] == '"1"'
    assert owner.get(made.location).json == one
    changed = owner.call(
        "PATCH", made.location, json={"amount": "-20.00", "tax_amount": None}, headers={"If-Match": '"1"'}
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json["amount"], changed.json["tax_amount"], changed.json["version"]) == ("-20.00", None, 2)
    assert (changed.json["merchant"], changed.json["note"]) == ("Hotel Adler", "Client visit")
    gone = owner.call("DELETE", made.location, headers={"If-Match": '"2"'})
    assert (gone.status_code, gone.data) == (204, b"")
    assert owner.get(made.location).status_code == 404
    with office.database() as conn:
        told = select(audit_event.c.action).where(audit_event.c.object_id == one["id"]).order_by(audit_event.c.id)
        assert list(conn.scalars(told)) == ["expense.created", "expense.changed", "expense.deleted"]
