"""What one workspace uses up, caches or imports means nothing in another; what is changed counts in all processes."""

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from sqlalchemy import func, select

from strongroom.platform.control.platform import open_platform
from strongroom.platform.keys import FieldCipher
from strongroom.platform.keys.receipts import ReceiptVault
from strongroom.platform.portal.access.tries import PER_ADDRESS
from strongroom.platform.portal.imports.service import import_csv
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.platform.web.app import create_app
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables

Portal = Any  # the class is in visitors.py
NOTICED = 30.0  # seconds after which a test gives up waiting for a process to notice


def test_tries_at_a_are_not_counted_at_b(portal: Portal) -> None:
    at_a, at_b = portal.client("rowan"), portal.client("cedar")
    most = int(PER_ADDRESS.split()[0])
    answers = {at_a.sign_in(portal.email(Role.OWNER), "wrong").status_code for _ in range(most + 1)}
    assert answers == {401, 429}
    assert at_a.sign_in(portal.email(Role.OWNER)).status_code == 429
    assert at_b.sign_in(portal.email(Role.OWNER)).status_code == 303


def test_no_page_of_a_workspace_is_kept_by_a_cache_between(portal: Portal) -> None:
    owner = portal.signed_in(Role.OWNER, "rowan")
    for rule in portal.app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments:
            kept = owner.get(rule.rule).headers["Cache-Control"]
            assert "no-store" in kept and "public" not in kept, rule.rule


def test_an_import_for_b_takes_neither_a_member_nor_a_file_of_a(portal: Portal, tmp_path: Path) -> None:
    a, b = portal.workspaces["rowan"], portal.workspaces["cedar"]
    mine, others = tmp_path / a.id, tmp_path / b.id
    for folder in (mine, others):
        folder.mkdir()
    (mine / "canary.png").write_bytes(b"canary")
    file = others / "spend.csv"
    head = "date,merchant,category,amount,currency,receipt\n"
    keys = portal.platform.keys.tenant(b.id)
    cipher, vault = FieldCipher(keys), ReceiptVault(portal.platform.settings, keys)

    def load(line: str, member: UUID) -> Any:
        file.write_text(head + line, encoding="utf-8")
        with portal.database("cedar") as conn:
            return import_csv(conn, cipher, vault, file, others, base_currency="GBP", default_member_id=member)

    before = _expenses(portal)
    for name in (f"../{a.id}/canary.png", str(mine / "canary.png"), f"..\\{a.id}\\canary.png"):
        result = load(f"2024-03-12,Shop,Meals,5,GBP,{name}\n", portal.people["cedar", Role.OWNER])
        assert (result.accepted, result.imported, result.receipts) == (False, 0, 0)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        load("2024-03-12,Shop,Meals,5,GBP,\n", portal.people["rowan", Role.OWNER])
    assert _expenses(portal) == before


def _expenses(portal: Portal) -> int:
    with portal.database("cedar") as conn:
        return conn.execute(select(func.count()).select_from(tables.expense)).scalar_one()


@pytest.fixture
def processes(portal: Portal) -> Generator[list[Flask]]:
    """Two web processes, as far as the control plane can tell."""
    settings = replace(portal.platform.settings, tenant_cache_seconds=1.0)
    with ExitStack() as stack:
        yield [create_app(stack.enter_context(open_platform(settings))) for _ in range(2)]


def test_suspending_and_renaming_count_in_every_process(
    portal: Portal, processes: list[Flask], tenant_factory: Callable[[], Tenant]
) -> None:
    one, other = tenant_factory(), tenant_factory()
    assert [ask(app, one.slug) for app in processes] == [(200, one.name)] * 2
    change(portal, lambda conn: tenants.set_state(conn, one.id, TenantState.SUSPENDED))
    assert [eventually(app, one.slug, 403) for app in processes] == [""] * 2
    change(portal, lambda conn: tenants.set_state(conn, one.id, TenantState.ACTIVE))
    assert [eventually(app, one.slug, 200) for app in processes] == [one.name] * 2
    old, new = one.slug, f"w-{new_id()}"
    change(portal, lambda conn: tenants.set_slug(conn, one.id, new))
    assert [eventually(app, new, 200) for app in processes] == [one.name] * 2
    assert [eventually(app, old, 404) for app in processes] == [""] * 2
    change(portal, lambda conn: tenants.set_slug(conn, other.id, old))  # the old address is another's now
    assert [eventually(app, old, 200) for app in processes] == [other.name] * 2


def change(portal: Portal, act: Callable[[Any], object]) -> None:
    with portal.platform.control.begin() as conn:
        act(conn)


def ask(app: Flask, slug: str) -> tuple[int, str]:
    """The status of the sign-in page, and the workspace that it names."""
    answer = app.test_client().get("/sign-in", base_url=f"https://{slug}.localhost")
    title = answer.text.partition("to the expenses of ")[2].partition("<")[0].strip()
    return answer.status_code, title if answer.status_code == 200 else ""


def eventually(app: Flask, slug: str, status: int) -> str:
    """Ask until the status is the wanted one, and then at once again: it stays so. Return the workspace's name."""
    deadline = time.monotonic() + NOTICED
    while ask(app, slug)[0] != status:
        assert time.monotonic() < deadline, f"{slug} did not become {status}"
        time.sleep(0.02)
    assert ask(app, slug)[0] == status
    return ask(app, slug)[1]
