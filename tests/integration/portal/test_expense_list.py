"""The list of expenses: filters, totals of what is filtered, pages."""

import re
from typing import Any
from uuid import uuid4

import pytest

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import categories

Portal = Any  # the class is in visitors.py
Browser = Any


def add(browser: Browser, category: str, **typed: str) -> None:
    form = {"id": str(uuid4()), "category": category, "currency": "GBP", **typed}
    assert browser.post("/expenses/new", form, form="/expenses/new").status_code == 303


@pytest.fixture(scope="module")
def browser(portal: Portal) -> Browser:
    browser = portal.signed_in(Role.MEMBER, "cedar")
    with portal.database("cedar") as conn:
        category = str(categories.list_all(conn)[0].id)
    for number in range(1, 61):
        typed = {"merchant": f"Row {number:02}", "amount": f"{number}.00", "spent_on": f"{1 + number % 28:02}/05/2024"}
        add(browser, category, **typed)
    foreign = {"currency": "EUR", "fx_rate": "2", "amount": "7", "spent_on": "01/01/2023"}
    add(browser, category, merchant="100%_sure", **foreign)
    return browser


def results(browser: Browser, query: str) -> str:
    return browser.get(f"/expenses?{query}", headers={"HX-Request": "true"}).text


def test_totals_are_of_the_filtered_set_and_not_of_the_page(browser: Browser) -> None:
    everything = results(browser, "")
    assert "61 expenses" in everything
    assert "1,844.00" in everything  # 1 + … + 60, and 7 EUR at 2
    assert "10 expenses" in results(browser, "q=Row+1")
    assert "145.00" in results(browser, "q=Row+1")


def test_pages_show_each_expense_once_forwards_and_backwards(browser: Browser) -> None:
    links = re.compile(r'href="([^"]+)" rel="(prev|next)"')
    first = browser.get("/expenses").text
    seen = re.findall(r"data-row-link>([^<]+)<", first)
    older = {rel: path.replace("&amp;", "&") for path, rel in links.findall(first)}
    assert set(older) == {"next"}
    second = browser.get(older["next"]).text
    back = {rel: path.replace("&amp;", "&") for path, rel in links.findall(second)}
    assert set(back) == {"prev"}
    seen += re.findall(r"data-row-link>([^<]+)<", second)
    assert len(seen) == len(set(seen)) == 61
    assert re.findall(r"data-row-link>([^<]+)<", browser.get(back["prev"]).text) == seen[:50]


def test_filters_combine_and_stand_in_the_address(browser: Browser) -> None:
    answer = browser.get(
        "/expenses?q=row&min=10&max=12.5&from=2024-05-01&to=2024-05-31", headers={"HX-Request": "true"}
    )
    assert "3 expenses" in answer.text
    assert "33.00" in answer.text
    assert answer.headers["HX-Push-Url"] == "/expenses?q=row&from=2024-05-01&to=2024-05-31&min=10&max=12.5"
    for label in ("“row”", "1 May 2024 – 31 May 2024", "10.00 – 12.50 GBP"):
        assert f"Remove the filter {label}" in answer.text


def test_signs_of_patterns_are_plain_text(browser: Browser) -> None:
    assert "1 expense<" in results(browser, "q=100%25_s")
    assert "Nothing found" in results(browser, "q=1%25_")
    assert "Nothing found" in results(browser, "q=%5C")


def test_states_and_people_filter(browser: Browser, portal: Portal) -> None:
    me = portal.people["cedar", Role.MEMBER]
    assert "61 expenses" in results(browser, f"state=draft&state=paid&member={me}")
    assert "Nothing found" in results(browser, "state=approved")
    assert "Nothing found" in results(browser, f"member={uuid4()}")


def test_nonsense_in_the_address_is_left_out_and_said(browser: Browser) -> None:
    page = results(browser, "from=soon&min=x&state=no&category=1&member=';--&after=x_y&before=2024-01-01_z")
    assert "61 expenses" in page
    assert "Write the date in digits" in page
    assert "Write the amount in digits" in page


def test_nothing_yet_and_nothing_found_look_different(browser: Browser, portal: Portal) -> None:
    assert "Nothing found" in results(browser, "q=zzz")
    assert "No expenses yet" in portal.signed_in(Role.CONTRIBUTOR, "cedar").get("/expenses").text


def test_htmx_gets_a_part_and_everybody_else_the_page(browser: Browser) -> None:
    part = {"HX-Request": "true"}
    assert "<html" not in browser.get("/expenses", headers=part).text
    assert "<html" in browser.get("/expenses", headers=part | {"HX-History-Restore-Request": "true"}).text
    assert "<html" in browser.get("/expenses").text
