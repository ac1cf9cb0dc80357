import json
from collections import defaultdict
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from strongroom.platform.keys import verify_password
from strongroom.platform.keys.receipts import ReceiptVault
from strongroom.platform.tenants import queries as tenants
from strongroom.provisioning.demo import load
from strongroom.provisioning.demo.load import load_demo
from strongroom.provisioning.demo.source import SHIPPED, find_source
from strongroom.tenant_schema.tables import (
    approval_step,
    category,
    expense,
    expense_receipt,
    member,
    receipt,
    report,
    setting,
)

SOURCE = find_source(SHIPPED)


@pytest.fixture(scope="module")
def demo(platform):
    return load_demo(platform, SHIPPED)


@pytest.fixture
def workspace(platform, demo):
    """Runs a statement in a demo workspace and returns the rows."""

    def rows(slug, statement):
        with platform.control.connect() as conn:
            tenant = tenants.by_slug(conn, slug)
        with platform.registry.connect(tenant) as conn, conn.begin():
            return conn.execute(statement).all()

    return rows


@pytest.mark.parametrize("office", SOURCE.offices, ids=lambda office: office.slug)
def test_the_expenses_in_the_database_add_up_to_the_real_amounts(workspace, office):
    sums = defaultdict(Decimal)
    statement = select(category.c.name, expense.c.spent_on, expense.c.base_amount).join(category)
    for name, day, amount in workspace(office.slug, statement.where(expense.c.currency == "USD")):
        sums[name, (day.month + 2) // 3] += amount
    assert sums == {key: amount for key, amount in office.spending.items() if amount}


def test_every_state_that_a_visitor_should_see_is_there(workspace):
    states = {row[0] for row in workspace("northway-college", select(expense.c.state).distinct())}
    assert states >= {"approved", "submitted", "draft"}
    payments = {row[0] for row in workspace("northway-college", select(report.c.payment).distinct())}
    assert payments == {"paid", "due", "none"}


def test_reports_and_their_lines_agree(workspace):
    pairs = select(report.c.state, expense.c.state).join(expense, expense.c.report_id == report.c.id).distinct()
    assert all(one == other for one, other in workspace("northway-college", pairs))
    decided = select(report.c.state, approval_step.c.decision).join(approval_step).distinct()
    assert set(workspace("northway-college", decided)) <= {
        ("approved", "approved"), ("returned", "returned"), ("submitted", None),
    }  # fmt: skip
    own = select(approval_step.c.id).join(report).where(approval_step.c.approver_id == report.c.member_id)
    assert workspace("northway-college", own) == []


def test_receipts_open_and_prove_expenses_of_their_total(platform, workspace):
    with platform.control.connect() as conn:
        tenant = tenants.by_slug(conn, SOURCE.offices[0].slug)
    vault = ReceiptVault(platform.settings, platform.keys.tenant(tenant.id))
    statement = (
        select(receipt.c.id, receipt.c.object, expense.c.amount, expense.c.currency)
        .join(expense_receipt, expense_receipt.c.receipt_id == receipt.c.id)
        .join(expense)
    )
    rows = workspace(tenant.slug, statement)
    assert sorted(row.amount for row in rows) == sorted(one.total for one in SOURCE.receipts)
    assert {row.currency for row in rows} == {"EUR"}
    assert all(vault.load(row.id, row.object).startswith(b"\xff\xd8\xff") for row in rows)


def test_each_role_can_sign_in_with_the_password_of_the_home(platform, workspace, demo):
    pepper = platform.keys.platform().pepper
    rows = workspace("fernhill-clinic", select(member.c.role, member.c.password_hash))
    assert {row.role for row in rows} == {"owner", "admin", "member", "contributor", "read_only"}
    assert all(verify_password(demo.password, row.password_hash, pepper) for row in rows[:1])
    assert demo.password not in repr(demo)
    assert json.loads((platform.settings.home / "demo.json").read_text())["password"] == demo.password


def test_it_says_what_is_generated(workspace):
    ((mark,),) = workspace("harbour-studio", select(setting.c.value).where(setting.c.key == "demo"))
    assert "generated" in mark["note"]


def test_a_load_that_was_killed_half_way_is_finished_and_doubles_nothing(platform, workspace, demo):
    before = workspace("fernhill-clinic", select(func.count()).select_from(expense))
    path = platform.settings.home / "demo.json"
    note = json.loads(path.read_text())
    path.write_text(json.dumps(note | {"workspaces": []}))  # as a process leaves it that dies before the end
    again = load_demo(platform, SHIPPED)
    assert again.password == demo.password
    assert workspace("fernhill-clinic", select(func.count()).select_from(expense)) == before


def test_a_workspace_that_fails_half_way_keeps_nothing(platform, tenant, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError("killed")

    monkeypatch.setattr(load.queries, "mark_loaded", fail)
    with pytest.raises(RuntimeError), platform.registry.connect(tenant) as conn, conn.begin():
        load._fill(platform, conn, tenant, SOURCE.offices[0], SOURCE, "sr1$x")
    with platform.registry.connect(tenant) as conn, conn.begin():
        assert conn.scalar(select(func.count()).select_from(member)) == 0
