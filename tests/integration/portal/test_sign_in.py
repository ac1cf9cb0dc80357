"""Signing in and out, and what the cookies of it are."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from strongroom.platform.keys import passwords
from strongroom.platform.keys.hashing_room import HashingRoom
from strongroom.platform.keys.tokens import hash_of
from strongroom.platform.portal.access import service, tries
from strongroom.platform.web import sessions
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import members
from strongroom.tenant_schema.tables import session as session_table

Portal = Any  # the class is in visitors.py


def test_the_session_cookie_is_bound_to_host_and_https(portal: Portal) -> None:
    answer = portal.client().sign_in(portal.email(Role.OWNER))
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("__Host-session="))
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert len(cookie.split("=")[1].split(";")[0]) >= 43  # 256 bits


def test_every_cookie_has_the_host_prefix(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    names = [c.split("=")[0] for c in browser.get("/members").headers.getlist("Set-Cookie")]
    assert all(name.startswith("__Host-") for name in names)


def test_the_database_knows_only_the_hash_of_the_token(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    token = browser.cookie(sessions.COOKIE)
    assert token
    with portal.database() as conn:
        hashes = conn.execute(session_table.select()).all()
    assert hash_of(token) in {row.token_hash for row in hashes}
    assert not any(token.encode() in row.token_hash for row in hashes)


def test_sign_in_makes_a_new_token_and_ends_the_old_session(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    old = browser.cookie(sessions.COOKIE)
    again = {"email": portal.email(Role.OWNER), "password": portal.password}
    assert browser.post("/sign-in", again, form="/members").status_code == 303
    assert browser.cookie(sessions.COOKIE) not in (None, old)
    assert _with_cookie(portal, old) == 401


def test_a_token_given_by_the_visitor_is_never_taken_over(portal: Portal) -> None:
    browser = portal.client()
    browser.carry(sessions.COOKIE, "chosen-by-somebody")
    browser.sign_in(portal.email(Role.OWNER))
    assert browser.cookie(sessions.COOKIE) != "chosen-by-somebody"
    assert _with_cookie(portal, "chosen-by-somebody") == 401


def test_wrong_password_and_unknown_address_look_the_same(portal: Portal) -> None:
    bodies = []
    for email in (portal.email(Role.OWNER), "nobody@people.example"):
        answer = portal.client().sign_in(email, "not the password")
        assert answer.status_code == 401
        bodies.append(_without_chance(answer.text.replace(email, "someone")))
    assert bodies[0] == bodies[1]


def test_an_unknown_address_costs_a_hash_too(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(service, "dummy_verify", lambda password, *_: hashed.append(password))
    portal.client().sign_in("nobody@people.example", "a guess")
    assert hashed == ["a guess"]


def test_a_password_that_is_changed_while_it_is_checked_opens_nothing(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reset, change and “this was not me” do comes between the look at the row and the new session."""
    browser, real, admin = portal.client(), service.fits, portal.people["acme", Role.ADMIN]

    def slow(password: str, stored: str) -> bool:
        with portal.database("acme") as conn:
            members.set_password_hash(conn, admin, "another")
        return real(password, stored)

    with portal.database("acme") as conn:
        before = members.by_id(conn, admin).password_hash
    monkeypatch.setattr(service, "fits", slow)
    assert browser.sign_in(portal.email(Role.ADMIN)).status_code == 401
    with portal.database("acme") as conn:
        members.set_password_hash(conn, admin, before)


def test_sign_out_ends_the_session_on_the_server(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    token = browser.cookie(sessions.COOKIE)
    assert browser.post("/sign-out", form="/members").status_code == 303
    assert browser.cookie(sessions.COOKIE) is None
    assert _with_cookie(portal, token) == 401


@pytest.mark.parametrize(
    ("column", "age", "status"),
    [
        ("last_seen_at", timedelta(days=30) - timedelta(seconds=60), 200),
        ("last_seen_at", timedelta(days=30) + timedelta(seconds=1), 401),
        ("created_at", timedelta(days=90) - timedelta(seconds=60), 200),
        ("created_at", timedelta(days=90) + timedelta(seconds=1), 401),
    ],
)
def test_a_session_ends_when_unused_or_old(portal: Portal, column: str, age: timedelta, status: int) -> None:
    browser = portal.signed_in(Role.OWNER)
    token = browser.cookie(sessions.COOKIE)
    assert token
    with portal.database() as conn:
        mine = session_table.c.token_hash == hash_of(token)
        conn.execute(update(session_table).where(mine).values({column: datetime.now(UTC) - age}))
    assert browser.get("/members").status_code == status


def test_a_session_means_nothing_on_another_workspace(portal: Portal) -> None:
    token = portal.signed_in(Role.OWNER, "acme").cookie(sessions.COOKIE)
    assert _with_cookie(portal, token, "birch") == 401


def test_a_form_token_means_nothing_on_another_workspace(portal: Portal) -> None:
    acme, birch = portal.client("acme"), portal.client("birch")
    stolen = acme.token("/sign-in")
    cookie = acme.cookie("__Host-form")
    assert cookie
    birch.carry("__Host-form", cookie)
    data = {"email": portal.email(Role.OWNER), "password": portal.password, "csrf_token": stolen}
    assert birch.post_bare("/sign-in", data).status_code == 400


def test_a_form_without_its_token_is_refused(portal: Portal) -> None:
    answer = portal.client().post_bare("/sign-in", {"email": portal.email(Role.OWNER), "password": portal.password})
    assert answer.status_code == 400
    assert "can no longer be sent" in answer.text


def test_a_form_from_another_site_is_refused(portal: Portal) -> None:
    browser = portal.client()
    data = {"email": portal.email(Role.OWNER), "password": portal.password, "csrf_token": browser.token("/sign-in")}
    headers = {"Referer": "https://evil.example/"}
    answer = browser.client.post("/sign-in", data=data, base_url=browser.base, headers=headers)
    assert answer.status_code == 400


def test_tries_on_one_account_are_limited(portal: Portal) -> None:
    browser = portal.client()
    codes = [browser.sign_in(portal.email(Role.ADMIN), "wrong").status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    answer = browser.sign_in(portal.email(Role.ADMIN))
    assert answer.status_code == 429
    assert 20 < int(answer.headers["Retry-After"]) <= 30
    assert f"Please wait {answer.headers['Retry-After']} seconds" in answer.text


def test_tries_that_nobody_had_time_to_look_at_are_not_counted(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, full = portal.client("rowan"), HashingRoom(1)
    full.admit(1)
    monkeypatch.setattr(passwords, "room", full)
    with full.entered(1):
        for email in (portal.email(Role.OWNER), "nobody@x.example"):
            assert [browser.sign_in(email, "not it").status_code for _ in range(6)] == [503] * 6
    codes = [browser.sign_in(portal.email(Role.OWNER), "not it").status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]


def test_what_the_workspace_refuses_is_not_counted_for_the_account(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = portal.client("rowan")
    monkeypatch.setattr(tries, "PER_WORKSPACE", "2 per minute")
    codes = [browser.sign_in(portal.email(Role.OWNER), "not it").status_code for _ in range(7)]
    assert codes == [401] * 2 + [429] * 5
    monkeypatch.undo()
    assert browser.sign_in(portal.email(Role.OWNER)).status_code == 303


def test_one_address_has_a_limit_over_all_workspaces(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "ANYWHERE", "2 per minute")
    browsers = [portal.client(slug) for slug in ("rowan", "cedar", "rowan")]
    codes = [browser.sign_in(portal.email(Role.OWNER)).status_code for browser in browsers]
    assert codes == [303, 303, 429]


def test_the_right_password_forgets_the_wrong_tries(portal: Portal) -> None:
    browser = portal.client()
    for _ in range(4):
        browser.sign_in(portal.email(Role.ADMIN), "wrong")
    assert browser.sign_in(portal.email(Role.ADMIN)).status_code == 303
    browser.client.delete_cookie(sessions.COOKIE, domain=portal.host("acme"))
    assert browser.sign_in(portal.email(Role.ADMIN), "wrong").status_code == 401


@pytest.mark.parametrize("onward", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_sign_in_leads_nowhere_else(portal: Portal, onward: str) -> None:
    data = {"email": portal.email(Role.OWNER), "password": portal.password, "next": onward}
    assert portal.client().post("/sign-in", data).location == "/"


def test_sign_in_leads_back_to_the_page_that_was_wanted(portal: Portal) -> None:
    browser = portal.client()
    asked = browser.get("/settings/backups?page=2")
    assert asked.status_code == 303
    assert asked.location == "/sign-in?next=/settings/backups?page%3D2"
    data = {"email": portal.email(Role.OWNER), "password": portal.password, "next": "/settings/backups?page=2"}
    assert browser.post("/sign-in", data).location == "/settings/backups?page=2"


def _with_cookie(portal: Portal, token: str | None, slug: str = "acme") -> int:
    assert token
    browser = portal.client(slug)
    browser.carry(sessions.COOKIE, token)
    return browser.get("/members").status_code


def _without_chance(html: str) -> str:
    html = re.sub(r'nonce="[^"]+"', "", html)
    return re.sub(r'name="csrf_token" value="[^"]+"', "", html)
