"""The review of access: what is recorded of uses, what the page and the file say of a stale admin."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update
from visitors import Portal, of_its_own

from strongroom.platform.portal.members import review_routes
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import uses
from strongroom.platform.web.permissions import Permission, Role
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import permission_use

PAGE, FILE = "/members/access-review", "/members/access-review/access-review.csv"


@pytest.fixture(scope="module")
def house(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Portal:
    return of_its_own(portal, tenant_factory())


@pytest.fixture(autouse=True)
def nothing_recorded(house: Portal) -> None:
    house.app.extensions[uses.EXTENSION] = uses.Memo()
    with house.database() as conn:
        conn.execute(t.permission_use.delete())
        conn.execute(t.setting.delete().where(t.setting.c.key == permission_use.SINCE))


def used(house: Portal, role: Role) -> set[str]:
    with house.database() as conn:
        found = select(t.permission_use.c.permission).where(t.permission_use.c.member_id == house.people["acme", role])
        return set(conn.scalars(found))


def at(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # noqa: ARG003  # always UTC
            return now

    monkeypatch.setattr(review_routes, "datetime", Clock)


def test_a_permission_is_recorded_when_it_is_used(house: Portal) -> None:
    browser = house.signed_in(Role.ADMIN)
    assert browser.get("/members").status_code == 200
    assert used(house, Role.ADMIN) == {Permission.USE.value}
    assert browser.get("/members/invite").status_code == 200
    assert used(house, Role.ADMIN) == {Permission.USE.value, Permission.MANAGE_MEMBERS.value}


def test_what_was_refused_is_no_use(house: Portal) -> None:
    assert house.signed_in(Role.CONTRIBUTOR).get("/members/invite").status_code == 403
    assert house.signed_in(Role.ADMIN).get(f"/members/{new_uuid7()}").status_code == 404
    assert Permission.MANAGE_MEMBERS.value not in used(house, Role.CONTRIBUTOR) | used(house, Role.ADMIN)


def test_it_is_written_once_a_day_and_not_on_each_request(house: Portal) -> None:
    browser, writes = house.signed_in(Role.ADMIN), list[str]()
    began = datetime.now(UTC).date()

    def listen(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "permission_use" in statement and statement.startswith("INSERT"):
            writes.append(statement)

    with house.database() as conn:
        engine = conn.engine
    event.listen(engine, "before_cursor_execute", listen)
    try:
        for _ in range(3):
            assert browser.get("/members/invite").status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    assert 1 <= len(writes) <= len({began, datetime.now(UTC).date()})


def test_a_later_day_replaces_the_earlier_and_never_the_other_way(house: Portal) -> None:
    member, today = house.people["acme", Role.ADMIN], datetime.now(UTC).date()
    with house.database() as conn:
        for day in (today - timedelta(days=9), today, today - timedelta(days=5)):
            permission_use.record(conn, member, Permission.PAY.value, day)
        assert permission_use.used_since(conn, today) == {member: {Permission.PAY.value}}
        assert permission_use.used_since(conn, today + timedelta(days=1)) == {}
        assert permission_use.recorded_since(conn) == today - timedelta(days=9)


def test_the_page_flags_a_stale_admin_at_the_edge_of_sixty_days(house: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = house.signed_in(Role.OWNER)
    assert house.signed_in(Role.ADMIN).get("/members").status_code == 200
    seen = t.session.c
    with house.database() as conn:
        admin = house.people["acme", Role.ADMIN]
        conn.execute(update(t.member).where(t.member.c.id == admin).values(last_seen_at=None))
        last = conn.scalar(select(seen.last_seen_at).where(seen.member_id == admin).order_by(seen.last_seen_at.desc()))
        of_owner = seen.member_id == house.people["acme", Role.OWNER]
        conn.execute(update(t.session).where(of_owner).values(last_seen_at=last))
    assert last
    for beyond, flagged in ((timedelta(seconds=-1), False), (timedelta(0), True)):
        at(monkeypatch, last + timedelta(days=60) + beyond)
        assert ("was not here for 60 days" in owner.get(PAGE).text) == flagged


def test_tokens_and_invitations_that_nobody_uses_are_listed(house: Portal) -> None:
    token, owner, old = new_uuid7(), house.signed_in(Role.OWNER), datetime.now(UTC) - timedelta(days=91)
    with house.database() as conn:
        name = house.cipher().seal(t.api_token.c.name, token, "=Payroll")
        row = {"id": token, "member_id": house.people["acme", Role.OWNER], "token_hash": token.bytes, "hint": "sr_abc"}
        row |= {"name": name, "scopes": [], "created_at": old, "expires_at": datetime.now(UTC) + timedelta(days=1)}
        conn.execute(insert(t.api_token).values(row))
    sent = owner.post("/members/invite", {"email": "late@x.example", "role": "member"}, form="/members/invite")
    assert sent.status_code == 200
    with house.database() as conn:
        conn.execute(update(t.invitation).where(t.invitation.c.invited_by.is_not(None)).values(expires_at=old))
    page = owner.get(PAGE).text
    assert "=Payroll" in page
    assert "late@x.example" in page
    answer = owner.get(FILE)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert [row["kind"] for row in rows] == [*["member"] * 5, "API token", "invitation"]
    assert rows[5]["findings"].startswith("'=Payroll"), "a spreadsheet does not run it"
