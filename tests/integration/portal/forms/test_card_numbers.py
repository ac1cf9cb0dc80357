"""A card number that somebody types or uploads is kept nowhere: not in a column, sealed or open, and in no log."""

import io
import logging
from typing import Any
from uuid import uuid4

import pytest
from filled_forms import Place, a_category, filled, named, objects_of, picture, typed
from sqlalchemy import inspect, text

from strongroom.platform.keys.fields import FieldCipher
from strongroom.platform.web.cards import MASKED
from strongroom.platform.web.permissions import Role

Portal = Any  # the fixture's class, in conftest.py
SLUG = "rowan"
CARD = "4111 1111 1111 1111"
WRITTEN = "paid by 5555-5555-5555-4444 and 378282246310005"
NUMBERS = ("4111111111111111", "5555555555554444", "378282246310005")


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sealed from now on, as it was before."""
    found: list[str] = []
    seal = FieldCipher.seal

    def listening(self: FieldCipher, column: Any, row_id: Any, plain: str) -> bytes:
        found.append(plain)
        return seal(self, column, row_id, plain)

    monkeypatch.setattr(FieldCipher, "seal", listening)
    return found


def test_no_field_of_any_form_lets_a_card_number_through(
    portal: Portal, forms: list[Place], sealed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    places = [place for place in forms if place.fields - {"csrf_token", "file"}]
    objects = objects_of(portal, SLUG, a_category(portal, SLUG), "Own")
    browser, token, tried = None, "", 0
    for place, name in _fields(places):
        if browser is None:
            browser = portal.signed_in(Role.OWNER, SLUG)
            token = browser.token("/expenses/new")
        form = named(objects) | typed(portal) | {name: f"{CARD} {WRITTEN}"}
        sent = {one: value for one, value in form.items() if one in place.fields}
        sent |= {"csrf_token": token, "file": (io.BytesIO(picture()), f"{CARD}.png")}
        portal.app.extensions["strongroom_limiter"].reset()
        answer = browser.post_bare(filled(place.rule, objects), sent)
        assert answer.status_code < 500, (place, name)
        tried += 1
        if "__Host-session" in str(answer.headers.getlist("Set-Cookie")):
            browser = None
    assert tried > 20
    assert not [value for value in sealed if _has_card(value)]
    assert not _has_card(_dump(portal))
    assert not _has_card(caplog.text)


def test_the_words_of_an_expense_are_masked_and_the_person_is_told(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER, SLUG)
    form = {"id": str(uuid4()), "merchant": f"Hotel {CARD}", "amount": "7", "currency": "GBP", "note": WRITTEN}
    form |= {"spent_on": "2024-03-12", "category": a_category(portal, SLUG)}
    answer = browser.post("/expenses/new", form, form="/expenses/new")
    assert answer.status_code == 303
    page = browser.get(f"/expenses/{form['id']}").text
    assert MASKED in page
    assert "Hotel •••• 1111" in page
    assert "paid by •••• 4444 and •••• 0005" in page
    assert MASKED not in browser.get(f"/expenses/{form['id']}").text


def test_a_password_may_be_a_number(portal: Portal) -> None:
    """It is hashed as it was typed: masked, every number with the same last digits would let somebody in."""
    sent = {"password": CARD, "old_password": CARD, "name": CARD}
    with portal.app.test_request_context("/", method="POST", data=sent) as context:
        assert context.request.form.to_dict() == sent | {"name": "•••• 1111"}


def test_what_would_be_another_thing_if_masked_stays_as_it_is(portal: Portal) -> None:
    sent = dict.fromkeys(("url", "next", "back", "kept", "credential", "csrf_token"), f"https://hooks.example/{CARD}")
    with portal.app.test_request_context("/", method="POST", data=sent) as context:
        assert context.request.form.to_dict() == sent


def _fields(places: list[Place]) -> list[tuple[Place, str]]:
    kept = {"csrf_token", "file", "password", "old_password"}
    return [(place, name) for place in places for name in sorted(place.fields - kept)]


def _dump(portal: Portal) -> str:
    """Every row of the workspace, the audit log among them, and of the control database, as text."""
    found: list[str] = []
    with portal.database(SLUG) as conn, portal.platform.control.connect() as control:
        for one, schema in ((conn, "app"), (control, "public")):
            for table in inspect(one).get_table_names(schema=schema):
                found += [str(row[0]) for row in one.execute(text(f'SELECT t::text FROM {schema}."{table}" t'))]
    return "\n".join(found)


def _has_card(value: str) -> bool:
    digits = "".join(char for char in value if char not in " -")
    return any(number in digits for number in NUMBERS)
