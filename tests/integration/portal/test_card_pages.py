"""Cards under Settings: start the feed, say whose card is whose, see what became of payments."""

import json
import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy.exc import DataError

from strongroom.platform.portal.cardfeed import tasks
from strongroom.platform.portal.cardfeed.tasks import book_card_payments, find_card_payments, forget_card_payments
from strongroom.platform.web.permissions import Role
from strongroom.platform.webhooks.signature import sign
from strongroom.tenant_schema import tables

Portal = Any  # the fixture's class, in conftest.py
Browser = Any
PAGE = "/settings/cards"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")
FULL_NUMBER = "4111111111111111"


@pytest.fixture
def browser(portal: Portal) -> Generator[Browser]:
    """The Owner's browser, in a workspace without cards; what a test adds is removed."""
    clear(portal)
    yield portal.signed_in(Role.OWNER, "rowan")
    clear(portal)


def clear(portal: Portal) -> None:
    with portal.database("rowan") as conn:
        for name in ("incoming_event", "card", "card_feed"):
            conn.execute(getattr(tables, name).delete())
        conn.execute(tables.expense.delete().where(tables.expense.c.merchant == "Corner Café"))


def a_card(portal: Portal, **changed: str) -> dict[str, str]:
    holder = str(portal.people["rowan", Role.MEMBER])
    return {"member": holder, "token": "card_1", "brand": "Visa", "last_four": "1111"} | changed


def start(browser: Browser) -> str:
    found = SECRET.search(unescape(browser.post(f"{PAGE}/feed", form=PAGE).text))
    assert found
    return found[0]


def pay(browser: Browser, key: str, name: str) -> int:
    data = {"card": "card_1", "amount": "12.50", "currency": "GBP", "merchant": "Corner Café", "date": "2024-03-12"}
    body = json.dumps({"type": "transaction.created", "data": data})
    headers = sign([key], name, datetime.now(UTC), body)
    return browser.client.post("/hooks/cards", data=body, headers=headers, base_url=browser.base).status_code


def test_the_feed_s_key_is_shown_once_and_can_be_changed_and_ended(browser: Browser) -> None:
    old = start(browser)
    assert not SECRET.search(unescape(browser.get(PAGE).text))
    assert pay(browser, old, "txn_a") == 202
    assert browser.post(f"{PAGE}/feed", form=PAGE).status_code == 409
    rotated = SECRET.search(unescape(browser.post(f"{PAGE}/feed/rotate", form=PAGE).text))
    assert rotated
    assert pay(browser, rotated[0], "txn_b") == 202
    assert pay(browser, old, "txn_c") == 202
    assert browser.post(f"{PAGE}/feed/stop", form=PAGE).status_code == 303
    assert pay(browser, rotated[0], "txn_d") == 404
    assert browser.post(f"{PAGE}/feed/rotate", form=PAGE).status_code == 404


def test_a_payment_before_the_card_is_known_is_booked_once_it_is(portal: Portal, browser: Browser) -> None:
    pay(browser, start(browser), "txn_e")
    work(portal)
    page = browser.get(PAGE).text
    assert "No member has this card" in page
    assert "Try 1 payment again" in page
    assert browser.post(PAGE, a_card(portal), form=PAGE).status_code == 303
    work(portal)
    page = browser.get(PAGE).text
    assert "No member has this card" not in page
    assert "•••• 1111" in page
    assert re.search(r'href="/expenses/[0-9a-f-]{36}"><span class="pill pill-draft"', page)
    assert "Every payment has its expense" in browser.get(browser.post(f"{PAGE}/retry", form=PAGE).location).text


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"token": FULL_NUMBER}, "must never be entered here"),
        ({"token": "4111 1111 1111 1111"}, "must never be entered here"),
        ({"token": "a b"}, "letters, digits"),
        ({"last_four": FULL_NUMBER}, "last four digits"),
        ({"last_four": "12"}, "last four digits"),
        ({"brand": "Plastic"}, "brand"),
        ({"member": "nobody"}, "Choose who pays"),
    ],
)
def test_what_is_wrong_is_said_and_a_full_number_is_not_sent_back(
    portal: Portal, browser: Browser, changed: dict[str, str], sentence: str
) -> None:
    answer = browser.post(PAGE, a_card(portal, **changed), form=PAGE)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert FULL_NUMBER not in answer.text
    assert "4111 1111 1111" not in answer.text


def test_a_payment_that_the_database_refuses_keeps_no_other_waiting(
    portal: Portal, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = start(browser)
    pay(browser, key, "txn_first")
    pay(browser, key, "txn_second")
    known, seen = tasks.book, set[object]()

    def book(conn: Any, cipher: Any, event: Any) -> Any:
        seen.add(event.id)
        if len(seen) == 1:
            raise DataError("", {}, Exception("out of range"))
        return known(conn, cipher, event)

    monkeypatch.setattr(tasks, "book", book)
    with pytest.raises(DataError):
        work(portal)
    assert len(seen) == 2


def test_payments_are_forgotten_after_a_quarter_by_a_daily_task_alone(portal: Portal, browser: Browser) -> None:
    pay(browser, start(browser), "txn_old")
    event = tables.incoming_event
    with portal.database("rowan") as conn:
        conn.execute(event.update().values(received_at=datetime.now(UTC) - timedelta(days=91)))
    find_card_payments(portal.platform)
    with portal.database("rowan") as conn:
        assert len(conn.execute(event.select()).all()) == 1
    forget_card_payments(portal.platform)
    with portal.database("rowan") as conn:
        assert conn.execute(event.select()).all() == []


def test_who_may_not_enter_expenses_gets_no_card(portal: Portal, browser: Browser) -> None:
    reader = str(portal.people["rowan", Role.READ_ONLY])
    assert browser.post(PAGE, a_card(portal, member=reader), form=PAGE).status_code == 422


def test_a_card_is_one_member_s_and_can_be_handed_on(portal: Portal, browser: Browser) -> None:
    assert browser.post(PAGE, a_card(portal), form=PAGE).status_code == 303
    again = browser.post(PAGE, a_card(portal), form=PAGE)
    assert "here already" in again.text
    remove = re.search(rf"{PAGE}/[0-9a-f-]{{36}}/remove", browser.get(PAGE).text)
    assert remove
    assert browser.post(remove[0], form=PAGE).status_code == 303
    assert browser.post(remove[0], form=PAGE).status_code == 404
    other = str(portal.people["rowan", Role.ADMIN])
    assert browser.post(PAGE, a_card(portal, member=other), form=PAGE).status_code == 303
    assert "The Admin" in browser.get(PAGE).text


def work(portal: Portal) -> None:
    book_card_payments(portal.platform, portal.workspaces["rowan"].id)
