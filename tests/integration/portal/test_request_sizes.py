"""How much each route takes: checked before anything reads the form."""

from io import BytesIO
from typing import Any

import pytest

from strongroom.platform.web import uploads
from strongroom.platform.web.permissions import Role

Portal = Any  # the fixture's class, in conftest.py

LARGE = {"receipts.upload": uploads.UPLOAD, "reports.submit": uploads.LIST, "csp_reports.take": 16 * 1024}


def test_a_small_form_is_all_that_a_route_takes_unless_it_says_otherwise(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    token = browser.token("/settings/profile")
    fits = browser.post_bare("/settings/profile", {"csrf_token": token, "name": "x" * 60_000})
    too_large = browser.post_bare("/settings/profile", {"csrf_token": token, "name": "x" * 70_000})
    assert (fits.status_code, too_large.status_code) == (422, 413)
    assert "too large" in too_large.text


@pytest.mark.parametrize("path", ["/sign-in", "/nothing/here", "/members"])
def test_who_is_not_signed_in_sends_no_more_either(portal: Portal, path: str) -> None:
    answer = portal.client().post_bare(path, {"email": "x" * 70_000})
    assert answer.status_code == 413
    assert answer.headers["Strict-Transport-Security"]


def test_nothing_was_read_of_what_is_too_large(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Counting(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            read.append(size or 0)
            return super().read(size)

    client = portal.client().client
    answer = client.open(
        "/sign-in",
        base_url=f"https://{portal.host('acme')}",
        method="POST",
        input_stream=Counting(b"x" * 70_000),
        headers={"Content-Length": "70000", "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status_code, read) == (413, [])


def test_a_form_has_a_bounded_number_of_parts(portal: Portal) -> None:
    parts: dict[str, Any] = {f"field-{n}": (BytesIO(), f"{n}.txt") for n in range(uploads.MOST_PARTS + 1)}
    browser = portal.signed_in(Role.OWNER)
    answer = browser.post_bare("/receipts", parts)
    assert answer.status_code == 413


def test_only_these_routes_take_more(portal: Portal) -> None:
    found = {
        endpoint: most
        for endpoint, view in portal.app.view_functions.items()
        if (most := getattr(view, "strongroom_accepts", uploads.FORM)) != uploads.FORM
    }
    assert found.items() >= LARGE.items()
    assert all(most <= uploads.UPLOAD for most in found.values())


@pytest.mark.parametrize(
    ("host", "path", "most"),
    [
        ("acme.localhost", "/receipts", uploads.UPLOAD),
        ("acme.localhost", "/sign-in", uploads.FORM),
        ("acme.localhost", "/api/v1/expenses", uploads.CALL),
        ("acme.localhost", "/nothing", uploads.FORM),
        ("acme.localhost", "/api/v1/receipts", uploads.UPLOAD),
        ("acme.localhost", "/api/nothing", uploads.CALL),
        ("localhost", "/receipts", uploads.FORM),
        ("localhost", "/sign-up", uploads.FORM),
        ("acme.localhost", "/\xff\xfe", uploads.FORM),
    ],
)
def test_the_gateway_is_told_the_same(portal: Portal, host: str, path: str, most: int) -> None:
    assert uploads.most_bytes(portal.app, "POST", host, path) == most
