"""What nobody types: each is answered with a page that says what is wrong, never with a failure."""

import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import categories

Portal = Any  # the class is in visitors.py
Browser = Any

STRANGE = ("\0", "a\0b", "9" * 40, "9" * 30, "1e400", "NaN", "١٢", "-0", "0001-01-01", "9999-12-31", "{}", "\r\nX: y")
LONG = "x" * 50_000  # more than any field takes, less than a form may have
NAMES = ("q", "next", "id", "page", "view", "state", "from", "after", "token", "receipt", "version", "download", "kept")
BOUNDED = settings(
    max_examples=2,
    derandomize=True,  # the same examples every time
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def browser(portal: Portal) -> Browser:
    return portal.signed_in(Role.OWNER, "birch")


@pytest.mark.parametrize("name", ["q", "category", "state", "member", "from", "to", "min", "max", "after", "before"])
def test_no_value_in_the_address_breaks_the_list(browser: Browser, name: str) -> None:
    for value in STRANGE:
        answer = browser.client.get("/expenses", base_url=browser.base, query_string={name: value})
        assert answer.status_code == 200, value


@pytest.mark.parametrize(
    "name", ["id", "spent_on", "merchant", "category", "amount", "currency", "tax_amount", "fx_rate", "note", "version"]
)
def test_no_value_in_the_form_breaks_saving(browser: Browser, portal: Portal, name: str) -> None:
    with portal.database("birch") as conn:
        category = str(categories.list_all(conn)[0].id)
    form = {"spent_on": "01/02/2024", "merchant": "Shop", "category": category, "amount": "12.50", "currency": "EUR"}
    known = form | {"id": str(uuid4()), "fx_rate": "0.85"}
    assert browser.post("/expenses/new", known, form="/expenses/new").status_code == 303
    for value in (*STRANGE, LONG):
        fresh = known | {"id": str(uuid4()), name: value}
        assert browser.post("/expenses/new", fresh, form="/expenses/new").status_code in (303, 422), value[:20]
        changed = known | {"version": "1", name: value}
        answer = browser.post(f"/expenses/{known['id']}", changed, form="/expenses/new")
        assert answer.status_code in (303, 409, 422), value[:20]


@pytest.mark.parametrize("host", ["a" * 300 + ".localhost", "a..localhost", "", "a b", "\xff.localhost", "[::1"])
def test_a_host_that_cannot_be_one_is_an_unknown_one(portal: Portal, host: str) -> None:
    answer = portal.app.test_client().get("/sign-in", base_url="https://localhost", headers={"Host": host})
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert "Strict-Transport-Security" in answer.headers


@pytest.mark.parametrize("application", ["workspace", "site"])
def test_no_address_of_any_route_makes_it_fail(portal: Portal, browser: Browser, application: str) -> None:
    inside = application == "workspace"
    app = portal.app if inside else portal.app.extensions["strongroom_site"]
    visitor = browser if inside else portal.client(None)
    failed = list[str]()
    for rule in {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}:

        @BOUNDED
        @given(
            part=some.text(max_size=40),
            name=some.sampled_from(NAMES),
            value=some.text(max_size=40),
            rule=some.just(rule),
        )
        def look(part: str, name: str, value: str, *, rule: str) -> None:
            path = re.sub(r"<[^>]+>", quote(part, safe="") or "x", rule)
            uuids = re.sub(r"<uuid:[^>]+>", str(uuid4()), rule)
            real = re.sub(r"<[^>]+>", quote(part, safe="") or "x", uuids)
            for address in {path, real}:
                for text in (value, STRANGE[len(part) % len(STRANGE)]):
                    answer = visitor.client.get(address, base_url=visitor.base, query_string={name: [text, value]})
                    if answer.status_code >= 500:
                        failed.append(f"{address}?{name}={text!r}: {answer.status_code}")

        look()
    assert not failed, "\n".join(failed)
