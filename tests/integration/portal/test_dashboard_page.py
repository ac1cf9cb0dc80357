"""The dashboard in the real portal: its numbers are those of the lists it opens."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import categories

Portal = Any  # the class is in visitors.py
Browser = Any


def draft(browser: Browser, category: str, amount: str, spent_on: str) -> str:
    expense_id = str(uuid4())
    form = {"id": expense_id, "merchant": "Dash", "amount": amount, "currency": "GBP", "spent_on": spent_on}
    assert browser.post("/expenses/new", form | {"category": category}, form="/expenses/new").status_code == 303
    return expense_id


@pytest.fixture(scope="module")
def two_categories(portal: Portal) -> tuple[str, str]:
    with portal.database("birch") as conn:
        found = categories.list_all(conn)
    return str(found[0].id), str(found[1].id)


def test_the_bars_open_lists_with_the_same_sum(portal: Portal, two_categories: tuple[str, str]) -> None:
    browser = portal.signed_in(Role.CONTRIBUTOR, "birch")
    for category, amount, day in (
        (two_categories[0], "10.00", "2023-05-31"),
        (two_categories[0], "20.00", "2023-06-01"),
        (two_categories[1], "5.50", "2023-06-30"),
    ):
        draft(browser, category, amount, day)
    found = re.search(r'id="chart-data">(.+?)</script>', browser.get("/").text)
    assert found
    charts = json.loads(found[1])
    assert [bar["amount"] for bar in charts["month"]][-2:] == [10.0, 25.5]
    assert [bar["amount"] for bar in charts["category"]] == [30.0, 5.5]
    assert len(charts["month"]) == 12
    for bar in (*charts["month"][-2:], *charts["category"]):
        page = browser.get(bar["href"], headers={"HX-Request": "true"}).text
        assert f'totals-sum"><span class="money">{bar["amount"]:.2f}' in page


def test_the_figures_say_where_ones_money_stands(portal: Portal, two_categories: tuple[str, str]) -> None:
    browser = portal.signed_in(Role.ADMIN, "birch")
    assert "First steps" in browser.get("/").text
    expense_id = draft(browser, two_categories[0], "77.70", "2023-06-01")
    assert re.search(
        r"To submit</span>\s*<span class=\"figure-value\"><span class=\"money\">77.70", browser.get("/").text
    )
    browser.post("/expenses/submit", {"expense": expense_id}, form="/expenses/new")
    page = browser.get("/").text
    assert re.search(r"Waiting for approval</span>\s*<span class=\"figure-value\"><span class=\"money\">77.70", page)
    assert "77.70" in portal.signed_in(Role.OWNER, "birch").get("/").text  # in the owner's queue


def test_read_only_sees_the_whole_workspace_and_nothing_to_do(portal: Portal, two_categories: tuple[str, str]) -> None:
    draft(portal.signed_in(Role.MEMBER, "birch"), two_categories[0], "1.00", "2023-06-01")
    page = portal.signed_in(Role.READ_ONLY, "birch").get("/").text
    assert "Approved, not yet paid" in page
    assert "chart-data" in page
    assert 'type="file"' not in page
    assert "First steps" not in page
