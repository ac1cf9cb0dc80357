"""Webhooks under Settings: add, change, rotate, pause, test, look into the log, send again, delete."""

import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from strongroom.platform.keys.fields import FieldCipher
from strongroom.platform.web.permissions import Role
from strongroom.platform.webhooks.events import EVENTS
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.queries import webhooks

Portal = Any  # the fixture's class, in conftest.py
Browser = Any
PAGE = "/settings/webhooks"
URL = "https://hooks.customer.example/in"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


@pytest.fixture
def browser(portal: Portal) -> Generator[Browser]:
    """An Admin's browser; what a test adds is removed."""
    yield portal.signed_in(Role.ADMIN, "cedar")
    with portal.database("cedar") as conn:
        conn.execute(tables.webhook_endpoint.delete())
        conn.execute(tables.webhook_event.delete())


def add(browser: Browser, **fields: object) -> tuple[str, str]:
    """The page of a new webhook, and its key."""
    form = {"url": URL, "description": "Ledger", "events": list(EVENTS)} | fields
    answer = browser.post(f"{PAGE}/new", form, form=f"{PAGE}/new")
    assert answer.status_code == 200, answer.text
    found = re.search(rf"{PAGE}/[0-9a-f-]{{36}}", answer.text)
    secret = SECRET.search(unescape(answer.text))
    assert found
    assert secret
    return found[0], secret[0]


def test_the_key_is_shown_once_and_nowhere_else(portal: Portal, browser: Browser) -> None:
    page, secret = add(browser)
    for path in (PAGE, page, f"{page}/edit"):
        answer = browser.get(path)
        assert URL in answer.text
        assert not SECRET.search(unescape(answer.text))
    assert actions(portal)[-1] == "webhook.added"
    with portal.database("cedar") as conn:
        row = conn.execute(select(tables.webhook_endpoint)).one()
        raw = conn.execute(text("SELECT secret::text || url::text FROM app.webhook_endpoint")).scalar_one()
    assert portal_cipher(portal).open(tables.webhook_endpoint.c.secret, row.id, row.secret) == secret
    assert secret.encode().hex() not in raw
    assert b"customer.example".hex() not in raw


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": ""}, "Enter the address"),
        ({"url": "http://hooks.customer.example/"}, "must begin with https://"),
        ({"url": "https://127.0.0.1/"}, "instead of an IP address"),
        ({"url": "https://acme.localhost/"}, "one of ours"),
        ({"events": []}, "Choose at least one event"),
        ({"events": ["webhook.test", "everything"]}, "Choose at least one event"),
        ({"description": "x" * 201}, "up to 200 characters"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_added(
    portal: Portal, browser: Browser, fields: dict[str, object], sentence: str
) -> None:
    form = {"url": URL, "description": "", "events": ["report.paid"]} | fields
    answer = browser.post(f"{PAGE}/new", form, form=f"{PAGE}/new")
    assert answer.status_code == 422
    assert sentence in answer.text
    with portal.database("cedar") as conn:
        assert webhooks.endpoints(conn) == []


def test_a_card_number_in_a_description_is_masked(browser: Browser) -> None:
    page, _ = add(browser, description="For 4111 1111 1111 1111")
    assert "For •••• 1111" in browser.get(page).text


def test_an_address_keeps_a_number_that_a_card_could_have(browser: Browser) -> None:
    address = "https://hooks.example.com/4111111111111111"
    add(browser, url=address)
    assert address in browser.get(PAGE).text


def test_it_can_be_changed(portal: Portal, browser: Browser) -> None:
    page, _ = add(browser)
    changed = {"url": "https://other.customer.example:8443", "description": "", "events": ["report.paid"]}
    assert browser.post(f"{page}/edit", changed, form=f"{page}/edit").status_code == 303
    with portal.database("cedar") as conn:
        (one,) = webhooks.endpoints(conn)
    assert one.events == ["report.paid"]
    assert "https://other.customer.example:8443/" in browser.get(page).text


def test_a_new_key_leaves_the_old_one_for_a_day(portal: Portal, browser: Browser) -> None:
    page, old = add(browser)
    answer = browser.post(f"{page}/rotate", form=page)
    new = SECRET.search(unescape(answer.text))
    assert new
    assert new[0] != old
    with portal.database("cedar") as conn:
        (one,) = webhooks.endpoints(conn)
    cipher, c = portal_cipher(portal), tables.webhook_endpoint.c
    assert cipher.open(c.secret, one.id, one.secret) == new[0]
    assert cipher.open(c.previous_secret, one.id, one.previous_secret or b"") == old
    assert one.previous_until is not None
    assert timedelta(hours=23) < one.previous_until - datetime.now(UTC) <= timedelta(hours=24)


def test_pause_test_and_resume(portal: Portal, browser: Browser) -> None:
    page, _ = add(browser)
    shown = browser.post(f"{page}/test", form=page)
    assert shown.status_code == 303
    assert "webhook.test" in browser.get(shown.location).text
    assert browser.post(f"{page}/pause", form=page).status_code == 303
    assert browser.post(f"{page}/test", form=page).status_code == 409
    assert "1 message will be sent when you resume it" in browser.get(page).text
    assert browser.post(f"{page}/resume", form=page).status_code == 303
    assert actions(portal)[-4:] == ["webhook.added", "webhook.tested", "webhook.paused", "webhook.resumed"]


def test_what_failed_can_be_sent_again_one_by_one_and_all_together(portal: Portal, browser: Browser) -> None:
    today = datetime.now(UTC).date()
    page, _ = add(browser)
    first, second = (browser.post(f"{page}/test", form=page).location for _ in range(2))
    fail_all(portal)
    assert "Given up after" in browser.get(first).text
    assert browser.post(f"{first}/replay", form=first).status_code == 303
    assert states(portal) == ["failed", "waiting"]
    later = (today + timedelta(days=2)).isoformat()
    assert "Nothing has failed" in follow(browser, f"{page}/replay", {"since": later}, page)
    assert "1 message will be sent again" in follow(browser, f"{page}/replay", {"since": today.isoformat()}, page)
    assert states(portal) == ["waiting", "waiting"]
    assert browser.post(f"{page}/replay", {"since": "soon"}, form=page).status_code == 422
    assert browser.get(second).status_code == 200


def test_the_log_has_pages_and_a_filter(portal: Portal, browser: Browser) -> None:
    page, _ = add(browser)
    with portal.database("cedar") as conn:
        event_id, endpoint_id = uuid4(), UUID(page.rsplit("/", 1)[1])
        sealed = portal_cipher(portal).seal(tables.webhook_event.c.payload, event_id, '{"type":"report.paid"}')
        webhooks.insert_event(conn, event_id, "report.paid", sealed)
        for _ in range(30):
            webhooks.insert_deliveries(conn, event_id, [endpoint_id])
    first = browser.get(page)
    assert first.text.count("report.paid</code></a>") == 25
    older = re.search(r'href="([^"]+)" rel="next"', first.text)
    assert older
    assert browser.get(older[1].replace("&amp;", "&")).text.count("report.paid</code></a>") == 5
    assert "No delivery is in this state" in browser.get(f"{page}?state=failed").text


def test_a_deleted_one_is_gone(portal: Portal, browser: Browser) -> None:
    page, _ = add(browser)
    assert browser.post(f"{page}/delete", form=page).status_code == 303
    assert browser.get(page).status_code == 404
    assert "Let your own systems know" in browser.get(PAGE).text


def test_there_is_a_bound(browser: Browser) -> None:
    for _ in range(20):
        add(browser)
    answer = browser.post(f"{PAGE}/new", {"url": URL, "events": ["report.paid"]}, form=f"{PAGE}/new")
    assert answer.status_code == 409


def test_what_members_do_is_told(portal: Portal, browser: Browser) -> None:
    add(browser)
    owner = portal.signed_in(Role.OWNER, "cedar")
    answer = owner.post("/members/invite", {"email": f"{uuid4()}@people.example", "role": "member"}, form="/members")
    assert answer.status_code == 200
    assert types(portal) == ["member.invited"]


def fail_all(portal: Portal) -> None:
    with portal.database("cedar") as conn:
        conn.execute(tables.webhook_delivery.update().values(state="failed", attempts=8))


def states(portal: Portal) -> list[str]:
    with portal.database("cedar") as conn:
        return sorted(conn.scalars(select(tables.webhook_delivery.c.state)))


def types(portal: Portal) -> list[str]:
    with portal.database("cedar") as conn:
        return sorted(conn.scalars(select(tables.webhook_event.c.type)))


def actions(portal: Portal) -> list[str]:
    event = tables.audit_event.c
    with portal.database("cedar") as conn:
        return list(conn.scalars(select(event.action).order_by(event.at, event.id)))


def follow(browser: Browser, path: str, fields: dict[str, object], form: str) -> str:
    return browser.get(browser.post(path, fields, form=form).location).text


def portal_cipher(portal: Portal) -> FieldCipher:
    return FieldCipher(portal.platform.keys.tenant(portal.workspaces["cedar"].id))
