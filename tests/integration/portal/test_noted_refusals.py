"""Failed sign-ins and what a role forbids are in the workspace's audit log, bounded, and tell nothing to who tries."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from strongroom.platform.web import refusals
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import audit_event

Portal = Any  # the fixture's class, in visitors.py
SLUG = "cedar"
Row = tuple[object, object, object, object]


def test_a_wrong_password_is_noted_without_anything_that_was_typed(portal: Portal) -> None:
    seen = ids(portal)
    assert portal.client(SLUG).sign_in(portal.email(Role.MEMBER), "not it").status_code == 401
    member = portal.people[SLUG, Role.MEMBER]
    assert noted(portal, seen) == [("sign_in.failed", None, member, {"route": "access.sign_in_now"})]


def test_a_try_at_an_account_that_nobody_has_is_noted_as_that(portal: Portal) -> None:
    seen = ids(portal)
    assert portal.client(SLUG).sign_in("nobody@x.example", "not it").status_code == 401
    assert noted(portal, seen) == [("sign_in.failed", None, None, {"route": "access.sign_in_now"})]


def test_the_database_is_asked_the_same_whether_somebody_has_the_address_or_not(portal: Portal) -> None:
    browser, asked = portal.client(SLUG), list[list[str]]()
    browser.sign_in("somebody@x.example", "the first try finds everything cold")
    for email in (portal.email(Role.MEMBER), "nobody@x.example"):
        with statements() as found:
            assert browser.sign_in(email, "not it").status_code == 401
        asked.append(found)
    assert asked[0] == asked[1]
    assert "INSERT INTO app.audit_event" in str(asked[0])


def test_a_passkey_that_nobody_has_is_noted(portal: Portal) -> None:
    seen = ids(portal)
    assert portal.client(SLUG).post("/sign-in/passkey", {"credential": "{}"}).status_code == 401
    assert noted(portal, seen) == [("sign_in.failed", None, None, {"route": "proving.passkey_sign_in"})]


def test_what_a_role_forbids_is_noted_with_the_route(portal: Portal) -> None:
    seen, browser = ids(portal), portal.signed_in(Role.READ_ONLY, SLUG)
    assert browser.get("/expenses/new?q=whatever").status_code == 403
    member = portal.people[SLUG, Role.READ_ONLY]
    refused = [row for row in noted(portal, seen) if row[0] == refusals.FORBIDDEN]
    assert refused == [("access.refused", member, None, {"route": "expenses.new"})]


def test_nobody_fills_the_log_with_one_account(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, browser = ids(portal), portal.client(SLUG)
    monkeypatch.setattr(refusals, "PER_ACCOUNT", "2 per hour")
    codes = [browser.sign_in(portal.email(Role.MEMBER), "not it").status_code for _ in range(5)]
    assert codes == [401] * 5
    assert len(noted(portal, seen)) == 2


def test_nobody_fills_the_log_with_many_accounts(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, browser = ids(portal), portal.client(SLUG)
    monkeypatch.setattr(refusals, "PER_WORKSPACE_HOURLY", "2 per hour")
    for number in range(4):
        assert browser.sign_in(f"nobody-{number}@x.example", "not it").status_code == 401
    assert len(noted(portal, seen)) == 2


def test_a_flood_of_sign_ins_leaves_room_for_the_signs_of_attack(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "PER_ADDRESS", "1 per hour")
    seen, browser = ids(portal), portal.client(SLUG)
    assert [browser.sign_in("nobody@x.example", "not it").status_code for _ in range(2)] == [401] * 2
    browser.carry("__Host-session", "made up")
    assert browser.get("/members").status_code == 401
    assert [row[0] for row in noted(portal, seen)] == [refusals.FAILED_SIGN_IN, refusals.UNKNOWN_SESSION]


def ids(portal: Portal) -> set[object]:
    with portal.database(SLUG) as conn:
        return set(conn.scalars(select(audit_event.c.id)))


def noted(portal: Portal, seen: set[object]) -> list[Row]:
    columns = audit_event.c
    wanted = select(columns.id, columns.action, columns.actor_id, columns.object_id, columns.detail)
    with portal.database(SLUG) as conn:
        rows = [row for row in conn.execute(wanted.order_by(columns.at, columns.id)) if row.id not in seen]
    kinds = re.compile(r"sign_in\.|access\.|security\.")
    return [(row.action, row.actor_id, row.object_id, row.detail) for row in rows if kinds.match(row.action)]


@contextmanager
def statements() -> Generator[list[str]]:
    """All that is sent to any database meanwhile, values left out; commits, too."""
    found = list[str]()

    def listen(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        found.append(statement)

    def commits(_conn: object) -> None:
        found.append("COMMIT")

    event.listen(Engine, "before_cursor_execute", listen)
    event.listen(Engine, "commit", commits)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
        event.remove(Engine, "commit", commits)
