"""The Host header chooses a workspace, and nothing else: no link, redirect or page is made of it."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from strongroom.platform.keys import FieldCipher
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import outbox

Portal = Any  # the fixture's class, in conftest.py
PAGES = ("/", "/sign-in", "/members", "/nothing")


def get(portal: Portal, path: str, host: str, **headers: str) -> Any:
    client = portal.app.test_client()
    return client.get(path, base_url="https://localhost", headers={"Host": host, **headers})


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "{ours}.evil.example",
        "evil.example:443",
        "{ours}@evil.example",
        "{ours}:443@evil.example",
        "{ours}/evil.example",
        "{ours}#evil.example",
        "{ours}, evil.example",
        "{ours}:80:80",
        "{ours}:evil",
        "{ours}:123456",
        "{ours}:99999",
        "evil.{ours}",
    ],
)
def test_a_host_that_is_not_ours_gets_a_page_that_says_nothing(portal: Portal, host: str) -> None:
    for path in PAGES:
        answer = get(portal, path, host.format(ours=portal.host("acme")))
        assert answer.status_code == 404
        assert "evil" not in answer.text
        assert "evil" not in str(answer.headers)


@pytest.mark.parametrize("host", ["{ours}:65535", "{ours}.", "{OURS}", "{ours}:1"])
def test_a_strange_spelling_of_ours_leads_nowhere_else(portal: Portal, host: str) -> None:
    ours = portal.host("acme")
    answer = get(portal, "/members", host.format(ours=ours, OURS=ours.upper()))
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "X-Original-URL", "Forwarded"])
def test_no_other_header_names_the_host(portal: Portal, header: str) -> None:
    answer = get(portal, "/members", portal.host("acme"), **{header: "host=evil.example"})
    assert answer.headers["Location"].startswith("/sign-in")
    assert "evil" not in get(portal, "/sign-in", portal.host("acme"), **{header: "evil.example"}).text


def test_the_link_in_a_mail_is_made_of_the_settings(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER, "cedar")
    email = f"{uuid4().hex}@people.example"
    browser.base = f"https://{portal.host('cedar')}:6666"
    for header in ("HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "HTTP_X_FORWARDED_PORT"):
        browser.client.environ_base[header] = "evil.example"
    answer = browser.post("/members/invite", {"email": email, "role": "member"}, form="/members/invite")
    assert answer.status_code in {200, 303}, answer.text
    with portal.database("cedar") as conn:
        rows = conn.execute(select(outbox).order_by(outbox.c.created_at.desc()).limit(3)).all()
    cipher = FieldCipher(portal.platform.keys.tenant(portal.workspaces["cedar"].id))
    bodies = [cipher.open(outbox.c.body, row.id, row.body) for row in rows]
    right = f"{portal.platform.settings.workspace_url(portal.workspaces['cedar'].slug)}/invitation/"
    assert any(right in body for body in bodies)
    assert not any(":6666" in body or "evil.example" in body for body in bodies)
