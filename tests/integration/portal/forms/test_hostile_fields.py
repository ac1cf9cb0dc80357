"""Characters that no form sends, in every field of every form and address: refused or stored, never a failure."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from filled_forms import Place, a_category, filled, named, objects_of, picture, typed
from werkzeug.test import TestResponse

from strongroom.platform.tenants.ids import new_id
from strongroom.platform.web.permissions import Role

Portal = Any  # the class is in visitors.py
Browser = Any
Form = dict[str, str]
SLUG = "linden"
HOSTILE = {
    "line ends": "a\r\nSet-Cookie: stolen=1",
    "path with line ends": "/a\r\nSet-Cookie: stolen=1",
    "NUL": "a\0b",
    "lone surrogate": "a\ud800b",
    "10 kB": "x" * 10_000,
}
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def objects(portal: Portal) -> dict[str, str]:
    return objects_of(portal, SLUG, a_category(portal, SLUG), "Own")


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_field_of_any_form_of_a_workspace_makes_it_fail(
    portal: Portal, places: list[Place], objects: dict[str, str], value: str, headers: dict[str, str]
) -> None:
    wrong = list[str]()
    browser, token = None, ""
    for place, name in fields_of(places, "POST"):
        if browser is None:
            browser = portal.signed_in(Role.OWNER, SLUG)
            token = browser.token("/expenses/new")
        form = named(objects) | typed(portal) | {name: value}
        sent = {one: text for one, text in form.items() if one in place.fields} | {"csrf_token": token}
        reset(portal)
        answer = post(browser, filled(place.rule, objects), sent, headers)
        if failed(answer):
            wrong.append(f"{place} with {name}: {answer.status_code}")
        if "__Host-session" in str(answer.headers.getlist("Set-Cookie")):
            browser = None  # its token belongs to the earlier session
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_field_of_any_address_of_a_workspace_makes_it_fail(
    portal: Portal, places: list[Place], objects: dict[str, str], value: str, headers: dict[str, str]
) -> None:
    browser, stranger = portal.signed_in(Role.OWNER, SLUG), portal.client(SLUG)
    wrong = list[str]()
    for place, name in fields_of(places, "GET"):
        for who in (browser, stranger):
            answer = get(who, filled(place.rule, objects), {name: value}, headers)
            if failed(answer):
                wrong.append(f"{place} with {name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_field_of_the_public_site_makes_it_fail(portal: Portal, value: str) -> None:
    site = portal.client(None)
    token = site.token("/sign-up")
    valid = {"slug": f"w-{new_id()}", "name": "New", "email": "no address", "csrf_token": token}
    answers = [post(site, "/sign-up", valid | {name: value}, {}) for name in ("slug", "name", "email")]
    assert [answer.status_code for answer in answers] == [422] * 3
    for path, name in (("/sign-up/address", "slug"), ("/workspace", "name")):
        assert not failed(get(site, path, {name: value}, {}))


@pytest.mark.parametrize("wanted", ["x\r\ny", "x", "../../members", "//evil.example"])
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
@pytest.mark.parametrize("name", ["expense", "receipt"])
def test_an_upload_leads_to_no_address_that_the_form_made_up(
    portal: Portal, name: str, wanted: str, headers: dict[str, str]
) -> None:
    browser = portal.signed_in(Role.OWNER, SLUG)
    sent = {name: wanted, "csrf_token": browser.token("/expenses/new")}
    answer = post(browser, "/receipts", sent, headers)
    assert answer.status_code == 422
    assert not {"Location", "HX-Redirect"} & set(answer.headers.keys())


def fields_of(places: list[Place], method: str) -> Iterator[tuple[Place, str]]:
    for place in places:
        if place.method == method:
            yield from ((place, name) for name in sorted(place.fields - {"csrf_token", "file"}))


def failed(answer: TestResponse) -> bool:
    """Whether it is a failure, was kept from the view, or has a header that the value added."""
    status = answer.status_code
    return status >= 500 or status in (400, 429) or "stolen=1" in answer.headers.getlist("Set-Cookie")


def reset(portal: Portal) -> None:
    portal.app.extensions["strongroom_limiter"].reset()


def get(browser: Browser, path: str, query: Form, headers: dict[str, str]) -> TestResponse:
    raw = urlencode(query, errors="surrogatepass")
    return browser.client.get(path, base_url=browser.base, query_string=raw, headers=headers)


def post(browser: Browser, path: str, form: Form, headers: dict[str, str]) -> TestResponse:
    """Send a form with a file; made by hand, because the test client cannot send what is no text."""
    head = '--edge\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    parts = [head.format(name, "") + value + "\r\n" for name, value in form.items()]
    before = ("".join(parts) + head.format("file", '; filename="a.png"')).encode(errors="surrogatepass")
    return browser.client.post(
        path,
        data=before + picture() + b"\r\n--edge--\r\n",
        content_type="multipart/form-data; boundary=edge",
        base_url=browser.base,
        headers={"Referer": f"{browser.base}/"} | headers,
    )
