"""The public site: a workspace is asked for, made, and handed to the browser that asked."""

import re
from typing import Any

import pytest

from strongroom.platform.tenants import queries
from strongroom.platform.tenants.ids import new_id
from strongroom.provisioning.create import provision

Portal = Any  # the class is in visitors.py
LINK = re.compile(r'href="(https://[^"]+/invitation/[^"]+)"')


def sign_up(portal: Portal, slug: str) -> Any:
    browser = portal.client(None)
    form = {"name": "New & Co", "slug": slug, "email": "first@new.example"}
    answer = browser.post("/sign-up", form, form="/sign-up")
    assert answer.status_code == 303, answer.text
    return browser


def test_from_sign_up_to_the_first_sign_in(portal: Portal) -> None:
    slug = f"n{new_id()}"
    browser = sign_up(portal, slug)
    assert "is being prepared" in browser.get("/sign-up/preparing").text
    assert not LINK.search(browser.get("/sign-up/progress").text)
    with portal.platform.control.connect() as conn:
        made = queries.by_slug(conn, slug)
    provision(portal.platform, made.id)
    answer = browser.get("/sign-up/progress")
    assert answer.status_code == 286  # htmx stops asking
    found = LINK.search(answer.text)
    assert found
    path = found[1][found[1].index("/invitation/") :]
    joined = portal.client()
    joined.base = f"https://{slug}.localhost"
    assert joined.post(path, {"name": "First", "password": "three words and more"}, form=path).status_code == 303
    assert joined.get("/members").status_code == 200


def test_the_link_is_shown_to_no_other_browser(portal: Portal) -> None:
    sign_up(portal, f"n{new_id()}")
    assert portal.client(None).get("/sign-up/progress").status_code == 404
    assert portal.client(None).get("/sign-up/preparing").status_code == 404


@pytest.mark.parametrize("slug", ["a", "Has Space", "www", "two--hyphens", "-x-", "xn--bcher-kva", "ünicode"])
def test_an_address_that_cannot_be_is_refused_beside_its_field(portal: Portal, slug: str) -> None:
    form = {"name": "Kept Name", "slug": slug, "email": "first@new.example"}
    answer = portal.client(None).post("/sign-up", form, form="/sign-up")
    assert answer.status_code == 422
    assert 'value="Kept Name"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "field-error" in portal.client(None).get(f"/sign-up/address?slug={slug}").text


def test_a_taken_address_is_refused(portal: Portal) -> None:
    taken = portal.workspaces["acme"].slug
    form = {"name": "Another", "slug": taken, "email": "first@new.example"}
    assert portal.client(None).post("/sign-up", form, form="/sign-up").status_code == 409
    assert "taken" in portal.client(None).get(f"/sign-up/address?slug={taken}").text


def test_the_way_to_a_workspace(portal: Portal) -> None:
    slug = portal.workspaces["acme"].slug
    answer = portal.client(None).get(f"/workspace?name={slug.upper()}")
    assert answer.headers["Refresh"] == f"0; url={portal.platform.settings.workspace_url(slug)}"
    for strange in ("nobody-there", "a%00b", "%ED%A0%80", "..", "x" * 5000):
        assert portal.client(None).get(f"/workspace?name={strange}").status_code == 404


def test_sign_ups_are_limited(portal: Portal) -> None:
    browser = portal.client(None)
    token = browser.token("/sign-up")
    codes = [browser.post_bare("/sign-up", {"slug": "x", "csrf_token": token}).status_code for _ in range(21)]
    assert codes == [422] * 20 + [429]
