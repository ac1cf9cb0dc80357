"""Handing over the workspace: nothing changes until both have said yes, and then everything at once."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from visitors import Portal, of_its_own

from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.queries import members

Browser = Any
PAGE, OFFER = "/members/transfer", "/members/transfer/offer"
VERSION = re.compile(r'name="version" value="(\d+)"')


@pytest.fixture(scope="module")
def house(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Portal:
    return of_its_own(portal, tenant_factory())


@pytest.fixture(autouse=True)
def as_before(house: Portal) -> None:
    """Everybody has the role that they began with, and no offer is open."""
    with house.database() as conn:
        conn.execute(update(t.ownership_transfer).values(cancelled_at=datetime.now(UTC)))
        for (_, role), member_id in house.people.items():
            conn.execute(update(t.member).where(t.member.c.id == member_id).values(role=role, state="active"))


def offer(house: Portal, to: Role = Role.MEMBER, **fields: object) -> Any:
    form = {"member": str(house.people["acme", to])} | fields
    return house.signed_in(Role.OWNER).post(PAGE, form, form=PAGE)


def answer(browser: Browser, what: str = "accept", version: str | None = None) -> Any:
    found = VERSION.search(browser.get(OFFER).text)
    return browser.post(f"{PAGE}/{what}", {"version": version or (found[1] if found else "")}, form="/members")


def roles(house: Portal) -> tuple[str, str]:
    """Of the Owner and of the Member."""
    with house.database() as conn:
        both = [members.by_id(conn, house.people["acme", role]).role for role in (Role.OWNER, Role.MEMBER)]
    return both[0], both[1]


def letters(house: Portal) -> list[tuple[str, str]]:
    """Recipient and text of every letter, the newest first."""
    cipher, c = house.cipher(), t.outbox.c
    with house.database() as conn:
        rows = conn.execute(select(c.id, c.recipient, c.body).order_by(c.created_at.desc(), c.id.desc())).all()
    return [(cipher.open(c.recipient, r.id, r.recipient), cipher.open(c.body, r.id, r.body)) for r in rows]


def test_nothing_changes_before_the_other_accepts(house: Portal) -> None:
    assert offer(house).status_code == 303
    assert roles(house) == ("owner", "member")
    (giver, said), (taker, asked) = sorted(letters(house)[:2], key=lambda one: "wants to make you" in one[1])
    assert (giver, taker) == (house.email(Role.OWNER), house.email(Role.MEMBER))
    assert "/members/transfer/offer\n" in asked
    assert "If this was not you" in said


def test_both_roles_change_at_once(house: Portal) -> None:
    giver, taker = house.signed_in(Role.OWNER), house.signed_in(Role.MEMBER)
    assert offer(house).status_code == 303
    assert "offers you the ownership" in taker.get("/members").text
    assert answer(taker).status_code == 303
    assert roles(house) == ("admin", "owner")
    assert giver.get("/members").status_code == 401, "sessions that began as an Owner's have ended"
    assert {one for one, _ in letters(house)[:2]} == {house.email(Role.OWNER), house.email(Role.MEMBER)}
    with house.database() as conn:
        actions = list(conn.scalars(select(t.audit_event.c.action).order_by(t.audit_event.c.id.desc()).limit(8)))
    assert actions.count("member.role_changed") == 2
    assert "ownership.transferred" in actions


def test_the_giver_may_stay_an_owner(house: Portal) -> None:
    assert offer(house, stays="yes").status_code == 303
    assert "remains an Owner" in house.signed_in(Role.MEMBER).get(OFFER).text
    assert answer(house.signed_in(Role.MEMBER)).status_code == 303
    assert roles(house) == ("owner", "owner")


@pytest.mark.parametrize("what", ["decline", "cancel"])
def test_who_says_no_changes_nothing_and_the_other_is_told(house: Portal, what: str) -> None:
    assert offer(house).status_code == 303
    who, told = (Role.MEMBER, Role.OWNER) if what == "decline" else (Role.OWNER, Role.MEMBER)
    assert answer(house.signed_in(who), what).status_code == 303
    assert roles(house) == ("owner", "member")
    assert letters(house)[0][0] == house.email(told)
    late = answer(house.signed_in(Role.MEMBER), version="1")
    assert late.status_code == 409
    assert roles(house) == ("owner", "member")


def test_one_offer_at_a_time(house: Portal) -> None:
    assert offer(house).status_code == 303
    second = offer(house, Role.ADMIN)
    assert second.status_code == 409
    assert "Another transfer is open" in second.text


@pytest.mark.parametrize(("after", "status"), [(timedelta(seconds=-1), 409), (timedelta(minutes=1), 303)])
def test_an_offer_is_open_for_seven_days(house: Portal, after: timedelta, status: int) -> None:
    assert offer(house).status_code == 303
    taker = house.signed_in(Role.MEMBER)
    version = VERSION.search(taker.get(OFFER).text)
    assert version
    opened = t.ownership_transfer.c
    with house.database() as conn:
        row = conn.execute(select(opened.created_at, opened.expires_at).where(opened.cancelled_at.is_(None))).one()
        assert abs(row.expires_at - row.created_at - timedelta(days=7)) < timedelta(minutes=1)
        until = datetime.now(UTC) + after
        conn.execute(update(t.ownership_transfer).where(opened.cancelled_at.is_(None)).values(expires_at=until))
    assert answer(taker, version=version[1]).status_code == status
    if status == 409:
        assert offer(house, Role.ADMIN).status_code == 303, "one that has run out is in nobody's way"


def test_another_offer_than_the_page_showed_is_not_accepted(house: Portal) -> None:
    assert offer(house).status_code == 303
    taker = house.signed_in(Role.MEMBER)
    shown = VERSION.search(taker.get(OFFER).text)
    assert shown
    assert answer(house.signed_in(Role.OWNER), "cancel").status_code == 303
    assert offer(house, stays="yes").status_code == 303
    stale = answer(taker, version=shown[1])
    assert stale.status_code == 409
    assert "has changed" in stale.text
    assert roles(house) == ("owner", "member")


@pytest.mark.parametrize("to", [Role.OWNER, None])
def test_who_cannot_become_an_owner_is_not_offered_it(house: Portal, to: Role | None) -> None:
    form = {"member": str(house.people["acme", to])} if to else {"member": ""}
    refused = house.signed_in(Role.OWNER).post(PAGE, form, form=PAGE)
    assert refused.status_code == 422
    assert "Choose a member" in refused.text


@pytest.mark.parametrize("role", [Role.MEMBER, Role.OWNER])
def test_a_removal_of_either_ends_the_offer(house: Portal, role: Role) -> None:
    with house.database() as conn:
        members.set_role(conn, house.people["acme", Role.ADMIN], "owner")
    assert offer(house).status_code == 303
    version = VERSION.search(house.signed_in(Role.MEMBER).get(OFFER).text)
    assert version
    page = f"/members/{house.people['acme', role]}/remove"
    assert house.signed_in(Role.ADMIN).post(page, {"approver": "anyone"}, form=page).status_code == 303
    with house.database() as conn:
        assert (
            conn.execute(select(t.ownership_transfer.c.id).where(t.ownership_transfer.c.cancelled_at.is_(None))).all()
            == []
        )
