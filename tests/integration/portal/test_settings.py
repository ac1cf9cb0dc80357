"""One's own profile and sessions, the workspace, and the backups that it may look at."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from strongroom.platform.control.tables import backup
from strongroom.platform.keys import passwords
from strongroom.platform.keys.hashing_room import HashingRoom
from strongroom.platform.portal.access import service
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import members, settings

Portal = Any  # the class is in visitors.py


def test_the_workspace_can_be_renamed_and_counts_in_another_currency(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER, "rowan")
    form = {"name": "Rowan & Sons", "currency": "EUR"}
    assert browser.post("/settings/workspace", form, form="/settings/workspace").status_code == 303
    with portal.database("rowan") as conn:
        assert settings.base_currency(conn) == "EUR"
    portal.platform.registry.forget(portal.workspaces["rowan"])
    assert "Rowan &amp; Sons" in browser.get("/settings/workspace").text
    as_before = {"name": "Rowan", "currency": "GBP"}
    assert browser.post("/settings/workspace", as_before, form="/settings/workspace").status_code == 303


def test_who_works_alone_may_be_allowed_to_approve_their_own(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    form = {"name": "Acme", "currency": "GBP"}
    for ticked in (True, False):
        sent = form | ({"self_approval": "yes"} if ticked else {})
        assert browser.post("/settings/workspace", sent, form="/settings/workspace").status_code == 303
        assert ('name="self_approval" value="yes" checked' in browser.get("/settings/workspace").text) is ticked
        with portal.database() as conn:
            assert settings.value(conn, settings.SELF_APPROVAL) is ticked


def test_a_bad_name_changes_nothing(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    form = {"name": " ", "currency": "USD"}
    assert browser.post("/settings/workspace", form, form="/settings/workspace").status_code == 422
    form = {"name": "Acme", "currency": "XXX"}
    assert browser.post("/settings/workspace", form, form="/settings/workspace").status_code == 422
    with portal.database() as conn:
        assert settings.base_currency(conn) == "GBP"


def test_backups_show_when_the_copy_was_proved(portal: Portal) -> None:
    browser = portal.signed_in(Role.READ_ONLY)
    assert "first backup is on its way" in browser.get("/settings/backups").text
    taken = datetime.now(UTC) - timedelta(hours=2, minutes=5)
    with portal.platform.control.begin() as conn:
        values = {"id": f"test-{taken.timestamp()}", "tenant_id": portal.workspaces["acme"].id, "kind": "tenant"}
        times = {"started_at": taken, "finished_at": taken, "verified_at": taken + timedelta(minutes=1)}
        conn.execute(insert(backup).values(state="verified", bytes=1_400_000, receipts=47, **values, **times))
    portal.platform.registry.forget(portal.workspaces["acme"])
    text = re.sub(r"<[^>]+>", "", browser.get("/settings/backups").text)
    assert "2 h ago" in text
    assert "1.4 MB" in text
    assert "every 6 hours, kept 30 days" in text
    assert "encrypted, kept in United Kingdom, apart from your data" in text
    assert "Your database was backed up 2 h ago and the copy verified" in text


def test_another_session_can_be_ended_but_not_anothers(portal: Portal) -> None:
    here, there, stranger = portal.signed_in(Role.MEMBER), portal.signed_in(Role.MEMBER), portal.signed_in(Role.ADMIN)
    page = here.get("/settings/sessions").text
    ids = re.findall(r"/settings/sessions/([0-9a-f-]{36})/end", page)
    assert len(ids) >= 2
    assert stranger.post(f"/settings/sessions/{ids[0]}/end", form="/members").status_code == 404
    for one in reversed(ids):  # this session is the first of the list
        here.post(f"/settings/sessions/{one}/end", form="/settings/profile") if here.cookie("__Host-session") else None
    assert there.get("/members").status_code == 401


def test_a_new_password_that_will_not_do_is_no_wrong_try(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER)
    change = {"old_password": portal.password, "password": "short"}
    codes = [browser.post("/settings/password", change, form="/settings/profile").status_code for _ in range(7)]
    assert codes == [422] * 7


def test_a_change_that_nobody_had_time_to_look_at_is_no_wrong_try(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, full = portal.signed_in(Role.MEMBER), HashingRoom(1)
    full.admit(1)
    change = {"old_password": "not it", "password": "short"}
    with monkeypatch.context() as patch, full.entered(1):
        patch.setattr(passwords, "room", full)
        codes = [browser.post("/settings/password", change, form="/settings/profile").status_code for _ in range(7)]
    assert codes == [503] * 7
    assert browser.post("/settings/password", change, form="/settings/profile").status_code == 422


def test_of_two_changes_at_once_the_second_is_refused(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, real = portal.signed_in(Role.MEMBER), service.hash_new
    member_id = portal.people["acme", Role.MEMBER]

    def slow(password: str) -> str:
        with portal.database("acme") as conn:
            members.set_password_hash(conn, member_id, "another")
        return real(password)

    with portal.database("acme") as conn:
        before = members.by_id(conn, member_id).password_hash
    monkeypatch.setattr(service, "hash_new", slow)
    change = {"old_password": portal.password, "password": "seven marmalade bridges"}
    answer = browser.post("/settings/password", change, form="/settings/profile")
    with portal.database("acme") as conn:
        after = members.by_id(conn, member_id).password_hash
        members.set_password_hash(conn, member_id, before)
    assert (answer.status_code, after) == (422, "another")


def test_a_new_password_ends_the_other_sessions_and_not_this_one(portal: Portal) -> None:
    here, there = portal.signed_in(Role.CONTRIBUTOR), portal.signed_in(Role.CONTRIBUTOR)
    wrong = {"old_password": "not mine at all", "password": "quite another sentence"}
    assert here.post("/settings/password", wrong, form="/settings/profile").status_code == 422
    form = {"old_password": portal.password, "password": "quite another sentence"}
    assert here.post("/settings/password", form, form="/settings/profile").status_code == 303
    assert here.get("/members").status_code == 200
    assert there.get("/members").status_code == 401
    back = {"old_password": "quite another sentence", "password": portal.password}
    assert here.post("/settings/password", back, form="/settings/profile").status_code == 303
