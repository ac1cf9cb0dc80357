"""Invitations that wait: who sent them, until when; sent again, withdrawn, run out."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from visitors import Portal, of_its_own

from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables as t

LINK = re.compile(r'value="https://[^"/]+(/invitation/[\w-]+)"')
GOOD = "three words and more"


@pytest.fixture(scope="module")
def house(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Portal:
    return of_its_own(portal, tenant_factory())


def link_in(answer: Any) -> str:
    found = LINK.search(answer.text)
    assert found, answer.text
    return found[1]


def invite(house: Portal, email: str, role: str = "member", actor: Role = Role.OWNER) -> tuple[UUID, str]:
    """The new invitation's id and link."""
    page = "/members/invite"
    link = link_in(house.signed_in(actor).post(page, {"email": email, "role": role}, form=page))
    with house.database() as conn:
        newest = conn.scalar(select(t.invitation.c.id).order_by(t.invitation.c.id.desc()).limit(1))
    assert newest
    return newest, link


def resend(house: Portal, invitation_id: UUID, actor: Role = Role.OWNER) -> Any:
    return house.signed_in(actor).post(f"/members/invitations/{invitation_id}/resend", form="/members")


def expire(house: Portal, invitation_id: UUID, ago: timedelta = timedelta(0)) -> None:
    with house.database() as conn:
        late = update(t.invitation).where(t.invitation.c.id == invitation_id)
        conn.execute(late.values(expires_at=datetime.now(UTC) - ago))


def test_the_list_says_who_invited_and_until_when(house: Portal) -> None:
    invite(house, "listed@x.example", actor=Role.ADMIN)
    page = house.signed_in(Role.OWNER).get("/members").text
    row = page[page.index("listed@x.example") :][:900]
    assert "by The Admin" in row
    assert "until" in row
    assert "listed@x.example" not in house.signed_in(Role.MEMBER).get("/members").text


def test_sent_again_the_new_link_works_and_the_old_one_is_dead(house: Portal) -> None:
    first, old = invite(house, "again@x.example", "contributor")
    answer = resend(house, first)
    assert answer.status_code == 200
    assert "no longer works" in answer.text
    assert house.client().get(old).status_code == 410
    form = {"name": "Again", "password": GOOD}
    assert house.client().post(link_in(answer), form, form=link_in(answer)).status_code == 303
    with house.database() as conn:
        assert conn.scalar(select(t.member.c.role).order_by(t.member.c.id.desc()).limit(1)) == "contributor"


def test_one_that_ran_out_says_so_and_can_be_sent_again(house: Portal) -> None:
    late, link = invite(house, "late@x.example")
    expire(house, late)
    assert house.client().get(link).status_code == 410
    page = house.signed_in(Role.OWNER).get("/members").text
    assert "Expired" in page[page.index("late@x.example") :][:900]
    assert house.client().get(link_in(resend(house, late))).status_code == 200
    assert house.signed_in(Role.OWNER).get("/members").text.count("late@x.example<") == 1


@pytest.mark.parametrize("deed", ["resend", "withdraw"])
def test_what_was_accepted_or_withdrawn_is_over(house: Portal, deed: str) -> None:
    gone, _ = invite(house, f"gone-{deed}@x.example")
    owner = house.signed_in(Role.OWNER)
    assert owner.post(f"/members/invitations/{gone}/withdraw", form="/members").status_code == 303
    assert owner.post(f"/members/invitations/{gone}/{deed}", form="/members").status_code == 404


def test_an_admin_sends_no_owners_or_admins_invitation_again(house: Portal) -> None:
    for role in ("owner", "admin"):
        high, link = invite(house, f"high-{role}@x.example", role)
        assert resend(house, high, Role.ADMIN).status_code == 403
        assert house.client().get(link).status_code == 200


def test_whoever_has_joined_meanwhile_is_not_invited_again(house: Portal) -> None:
    """By another invitation of the same address, which two admins had sent at the same moment."""
    first, _ = invite(house, "twin@x.example")
    second, link = invite(house, "twin@x.example")
    with house.database() as conn:
        conn.execute(update(t.invitation).where(t.invitation.c.id == first).values(revoked_at=None))
    assert house.client().post(link, {"name": "Twin", "password": GOOD}, form=link).status_code == 303
    assert resend(house, first).status_code == 404
    assert resend(house, second).status_code == 404
    page = house.signed_in(Role.OWNER).get("/members").text
    assert page.count("twin@x.example") == 1, "as a member"
