"""The pages of a workspace work with somebody in it who was erased: the records stay, under another name."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from strongroom.backup.erasure.forget import forget
from strongroom.platform.keys import FieldCipher, hash_password
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7

LEAVER = "Lea Leaver"


@pytest.fixture
def office(portal, tenant_factory: Callable[..., Tenant]):
    """A workspace with an owner, and with somebody who has submitted a report and decided on another one."""
    made = replace(portal, workspaces={"acme": tenant_factory()}, people={})
    with made.database() as conn:
        owner = _member(made, conn, portal.email(Role.OWNER), "Olive Owner", "owner")
        leaver = _member(made, conn, "lea@people.example", LEAVER, "admin")
        for spender, approver in ((leaver, owner), (owner, leaver)):
            _report(conn, spender, approver)
    return made


def _member(made, conn, email: str, name: str, role: str) -> UUID:
    keys, row_id = made.platform.keys, new_uuid7()
    cipher, columns = FieldCipher(keys.tenant(made.workspaces["acme"].id)), t.member.c
    values = {
        "id": row_id,
        "email": cipher.seal(columns.email, row_id, email),
        "email_index": cipher.blind(columns.email_index, email),
        "name": cipher.seal(columns.name, row_id, name),
        "password_hash": hash_password(made.password, keys.platform().pepper, 4),
        "role": role,
    }
    conn.execute(insert(t.member).values(**values))
    return row_id


def _report(conn, spender: UUID, approver: UUID) -> None:
    report_id = new_uuid7()
    conn.execute(insert(t.report).values(id=report_id, member_id=spender, title="A trip", state="submitted"))
    conn.execute(insert(t.approval_step).values(id=new_uuid7(), report_id=report_id, position=1, approver_id=approver))
    conn.execute(
        insert(t.expense).values(
            id=new_uuid7(),
            member_id=spender,
            category_id=conn.scalar(select(t.category.c.id).limit(1)),
            report_id=report_id,
            state="submitted",
            spent_on=date(2026, 1, 31),
            merchant="Rail",
            amount=Decimal(20),
            currency="GBP",
            digits=2,
            base_amount=Decimal(20),
            base_currency="GBP",
        )
    )


def test_every_page_works_and_shows_the_records_without_the_name(office) -> None:
    browser = office.signed_in(Role.OWNER)
    with office.database() as conn:
        expenses = [f"/expenses/{one}" for one in conn.scalars(select(t.expense.c.id))]
        reports = [f"/reports/{one}" for one in conn.scalars(select(t.report.c.id))]
    rules = [rule for rule in office.app.url_map.iter_rules() if "GET" in (rule.methods or ()) and not rule.arguments]
    paths = [*(rule.rule for rule in rules), *expenses, *reports]
    before = {path: browser.get(path) for path in paths}
    assert LEAVER in "".join(answer.text for answer in before.values())

    forget(office.platform, office.workspaces["acme"].slug, "lea@people.example", "olga")

    after = {path: browser.get(path) for path in paths}
    assert {path: answer.status_code for path, answer in after.items()} == {
        path: answer.status_code for path, answer in before.items()
    }
    everything = "".join(answer.text for answer in after.values())
    assert LEAVER not in everything
    assert "lea@people.example" not in everything
    assert "Erased member" in everything


def test_an_erased_member_cannot_sign_in_and_a_session_ends(office) -> None:
    browser = office.client()
    assert browser.sign_in("lea@people.example").status_code == 303
    forget(office.platform, office.workspaces["acme"].slug, "lea@people.example", "olga")
    assert browser.get("/expenses").status_code == 401
    with office.database() as conn:
        actions = set(conn.scalars(select(t.audit_event.c.action)))
    assert "security.unknown_session" not in actions, "the browser of a former member is no intruder's"
    assert office.client().sign_in("lea@people.example").status_code != 303
