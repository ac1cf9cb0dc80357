"""Tokens on the page: made with what they may do, shown once, listed with their use, revoked."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from strongroom.platform.api import tokens
from strongroom.platform.keys import FieldCipher
from strongroom.platform.keys.tokens import hash_of
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import members
from strongroom.tenant_schema.tables import api_token, audit_event, outbox, session

Portal = Any  # the fixture's class, in conftest.py
Browser = Any
PAGE, FORM = "/settings/tokens", "/settings/tokens/new"
SLUG = "cedar"


def made(browser: Browser, **changed: object) -> str:
    form = {"name": "Export", "scopes": ["expenses:read"], "days": "30"} | changed
    answer = browser.post(FORM, form, form=FORM)
    assert answer.status_code == 200, answer.text
    found = re.search(r'value="(srt_[^"]+)"', answer.text)
    assert found
    return found[1]


def call(portal: Portal, token: str, path: str = "/api/v1/me", slug: str = SLUG) -> Any:
    base = f"https://{portal.host(slug)}"
    return portal.app.test_client().get(path, base_url=base, headers={"Authorization": f"Bearer {token}"})


def row(portal: Portal, token: str) -> Any:
    with portal.database(SLUG) as conn:
        return conn.execute(select(api_token).where(api_token.c.token_hash == hash_of(token))).one()


def test_a_token_is_shown_once_and_kept_as_a_hash(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER, SLUG)
    token = made(browser, name="Monthly 4111111111111111")
    assert tokens.is_well_formed(token)
    listed = browser.get(PAGE).text
    assert token not in listed
    assert token[:8] in listed
    assert "Monthly •••• 1111" in listed
    kept = row(portal, token)
    assert token.encode() not in b"".join(cell for cell in kept if isinstance(cell, bytes))
    assert b"Monthly" not in kept.name
    with portal.database(SLUG) as conn:
        told = conn.execute(
            select(audit_event.c.action, audit_event.c.detail).where(audit_event.c.object_id == kept.id)
        )
        action, detail = told.one()
    assert (action, detail["scopes"]) == ("api_token.made", ["expenses:read"])


def test_its_member_is_told_by_mail(portal: Portal) -> None:
    cipher = FieldCipher(portal.platform.keys.tenant(portal.workspaces[SLUG].id))
    made(portal.signed_in(Role.OWNER, SLUG), name="Told by mail")
    with portal.database(SLUG) as conn:
        row = conn.execute(select(outbox).order_by(outbox.c.id.desc()).limit(1)).one()
    assert "An API token was made" in cipher.open(outbox.c.subject, row.id, row.subject)
    body = cipher.open(outbox.c.body, row.id, row.body)
    assert "“Told by mail”" in body
    assert "/not-me/" in body
    assert "srt_" not in body


def test_only_who_has_just_proved_who_they_are_makes_one(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER, SLUG)
    token = browser.token(FORM)
    with portal.database(SLUG) as conn:
        conn.execute(update(session).values(created_at=datetime.now(UTC) - timedelta(minutes=11), stepped_up_at=None))
        before = conn.scalar(select(func.count()).select_from(api_token))
    form = {"name": "Late", "scopes": ["expenses:read"], "days": "30", "csrf_token": token}
    for answer in (browser.get(FORM), browser.post_bare(FORM, form)):
        assert (answer.status_code, answer.location.split("?")[0]) == (303, "/step-up")
    with portal.database(SLUG) as conn:
        assert conn.scalar(select(func.count()).select_from(api_token)) == before


def test_it_is_used_where_and_when_the_list_says(portal: Portal) -> None:
    browser = portal.signed_in(Role.ADMIN, SLUG)
    token = made(browser)
    assert row(portal, token).last_used_at is None
    assert call(portal, token).json["token"]["scopes"] == ["expenses:read"]
    assert row(portal, token).last_used_at is not None
    assert "from 127.0.0.1" in browser.get(PAGE).text


def test_a_form_begins_with_what_only_reads(portal: Portal) -> None:
    page = portal.signed_in(Role.OWNER, SLUG).get(FORM).text
    ticked = set(re.findall(r'name="scopes" value="([^"]+)" checked', page))
    assert ticked == {"expenses:read", "receipts:read", "reports:read", "members:read"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": " "}, "Say what the token is for."),
        ({"name": "x" * 81}, "up to 80 characters"),
        ({"scopes": []}, "Choose what the token may do."),
        ({"scopes": ["everything"]}, "Choose what the token may do."),
        ({"days": ""}, "Choose when the token expires."),
        ({"days": "3650"}, "Choose when the token expires."),
    ],
)
def test_what_is_missing_is_said_beside_its_field(portal: Portal, changed: dict[str, object], words: str) -> None:
    browser = portal.signed_in(Role.OWNER, SLUG)
    form = {"name": "Export", "scopes": ["expenses:read"], "days": "30"} | changed
    answer = browser.post(FORM, form, form=FORM)
    assert (answer.status_code, words in answer.text) == (422, True)
    assert "srt_" not in answer.text


def test_it_ends_when_it_is_revoked(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER, SLUG)
    token = made(browser)
    path = f"{PAGE}/{row(portal, token).id}/revoke"
    assert browser.post(path, form=FORM).status_code == 303
    assert call(portal, token).status_code == 401
    assert browser.post(path, form=FORM).status_code == 404


def test_an_admin_revokes_what_is_not_an_owners(portal: Portal) -> None:
    owner, admin = portal.signed_in(Role.OWNER, SLUG), portal.signed_in(Role.ADMIN, SLUG)
    of_owner, of_admin = made(owner, name="Owners own"), made(admin, name="Admins own")
    assert "Owners own" in admin.get(PAGE).text
    assert admin.post(f"{PAGE}/{row(portal, of_owner).id}/revoke", form=FORM).status_code == 403
    assert call(portal, of_owner).status_code == 200
    assert owner.post(f"{PAGE}/{row(portal, of_admin).id}/revoke", form=FORM).status_code == 303
    assert call(portal, of_admin).status_code == 401


@pytest.mark.parametrize("role", [Role.MEMBER, Role.CONTRIBUTOR, Role.READ_ONLY])
def test_only_who_may_integrate_has_the_page(portal: Portal, role: Role) -> None:
    browser = portal.signed_in(role, SLUG)
    assert browser.get(PAGE).status_code == 403
    assert "API tokens" not in browser.get("/settings/profile").text


def test_it_ends_with_its_day(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER, SLUG)
    token = made(browser, name="Short", days="7")
    of_token = update(api_token).where(api_token.c.id == row(portal, token).id)
    with portal.database(SLUG) as conn:
        conn.execute(of_token.values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert call(portal, token).status_code == 401
    assert "Expired" in browser.get(PAGE).text


def test_it_has_the_role_that_its_member_has_now_and_ends_with_the_membership(portal: Portal) -> None:
    token, admin = made(portal.signed_in(Role.ADMIN, SLUG), scopes=["reports:write"]), portal.people[SLUG, Role.ADMIN]
    nowhere = "/api/v1/reports/0190a1b2-0000-7000-8000-000000000000/paid"
    base, headers = f"https://{portal.host(SLUG)}", {"Authorization": f"Bearer {token}"}
    with portal.database(SLUG) as conn:
        members.set_role(conn, admin, Role.MEMBER)
    try:
        assert portal.app.test_client().post(nowhere, base_url=base, headers=headers).status_code == 403
        with portal.database(SLUG) as conn:
            members.set_role(conn, admin, Role.ADMIN)
        assert portal.app.test_client().post(nowhere, base_url=base, headers=headers).status_code == 404
        with portal.database(SLUG) as conn:
            members.set_state(conn, admin, "removed")
        assert call(portal, token).status_code == 401
    finally:
        with portal.database(SLUG) as conn:
            members.set_role(conn, admin, Role.ADMIN)
            members.set_state(conn, admin, "active")
