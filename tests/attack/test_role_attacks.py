"""Members who want more than their role gives: by forms, by races, by old pages, by others' offers."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from hashing import let_all_hash
from sqlalchemy import func, select, update
from visitors import Browser, Portal, of_its_own

from strongroom.platform.portal.members import changes
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables as t

LINK = re.compile(r'value="https://[^"/]+(/invitation/[\w-]+)"')
VERSION = re.compile(r'name="version" value="(\d+)"')
GOOD = "three words and more"


@pytest.fixture(scope="module")
def house(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Portal:
    return of_its_own(portal, tenant_factory())


@pytest.fixture(autouse=True)
def as_before(house: Portal) -> None:
    with house.database() as conn:
        conn.execute(update(t.ownership_transfer).values(cancelled_at=func.now()))
        for (_, role), member_id in house.people.items():
            conn.execute(update(t.member).where(t.member.c.id == member_id).values(role=role, state="active"))


def id_of(house: Portal, role: Role) -> UUID:
    return house.people["acme", role]


def role_of(house: Portal, member_id: UUID) -> tuple[str, str]:
    with house.database() as conn:
        row = conn.execute(select(t.member.c.role, t.member.c.state).where(t.member.c.id == member_id)).one()
    return row.role, row.state


def at_once(*requests: Callable[[], Any]) -> list[int]:
    """Send all of them at the same moment; their statuses, sorted."""
    together = Barrier(len(requests))

    def send(request: Callable[[], Any]) -> int:
        together.wait()
        return request().status_code

    with ThreadPoolExecutor(len(requests)) as threads:
        return sorted(threads.map(send, requests))


def prepared(browser: Browser, path: str, form: str, **fields: object) -> Callable[[], Any]:
    """A form with its token, to be sent by calling it."""
    token = browser.token(form)
    return lambda: browser.post_bare(path, fields | {"csrf_token": token})


def invite(house: Portal, email: str, role: str = "contributor") -> str:
    page = "/members/invite"
    sent = house.signed_in(Role.OWNER).post(page, {"email": email, "role": role}, form=page)
    found = LINK.search(sent.text)
    assert found, sent.text
    return found[1]


def test_an_invitation_accepted_by_several_at_once_makes_one_member(
    house: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_all_hash(monkeypatch)
    link = invite(house, "race@x.example")
    browsers = [house.client() for _ in range(6)]
    asked = [prepared(one, link, link, name="Racer", password=GOOD) for one in browsers]
    assert at_once(*asked) == [303, *[410] * 5]
    with house.database() as conn:
        joined = select(func.count()).where(t.audit_event.c.action == "member.joined")
        assert conn.scalar(joined) == 1
        assert conn.scalar(select(func.count()).where(t.session.c.method == "invitation")) == 1


def test_two_invitations_of_one_address_make_one_member(house: Portal) -> None:
    """Both open, as two admins at the same moment leave them: the second is refused, and takes nothing over."""
    first = invite(house, "both@x.example", "contributor")
    with house.database() as conn:
        conn.execute(update(t.invitation).where(t.invitation.c.accepted_at.is_(None)).values(revoked_at=None))
        rows = conn.execute(select(t.invitation.c.email_index).order_by(t.invitation.c.id.desc()).limit(1)).one()
    second = invite(house, "both@x.example", "read_only")
    with house.database() as conn:
        again = update(t.invitation).where(t.invitation.c.email_index == rows.email_index)
        conn.execute(again.values(revoked_at=None))
    forms = [prepared(house.client(), link, link, name="Both", password=GOOD) for link in (first, second)]
    statuses = at_once(*forms)
    assert statuses[0] == 303
    assert statuses[1] in (409, 410)


def test_no_word_of_the_form_gives_an_invited_person_more(house: Portal) -> None:
    link = invite(house, "more@x.example")
    form = {"name": "More", "password": GOOD, "role": "owner", "state": "active", "email": house.email(Role.OWNER)}
    assert house.client().post(link, form | {"member_id": str(id_of(house, Role.OWNER))}, form=link).status_code == 303
    with house.database() as conn:
        newest = conn.execute(select(t.member).order_by(t.member.c.id.desc()).limit(1)).one()
    assert (newest.role, newest.id in house.people.values()) == ("contributor", False)
    assert house.client().sign_in("more@x.example", GOOD).status_code == 303
    assert house.client().sign_in(house.email(Role.OWNER)).status_code == 303, "the Owner's password is as before"


def test_nobody_promotes_themself(house: Portal) -> None:
    for role in (Role.MEMBER, Role.CONTRIBUTOR, Role.READ_ONLY):
        browser, me = house.signed_in(role), id_of(house, role)
        for path in (f"/members/{me}", f"/members/{id_of(house, Role.OWNER)}/remove", "/members/transfer"):
            form = {"role": "owner", "was": role.value, "member": str(me), "approver": "anyone"}
            assert browser.post(path, form, form="/members").status_code == 403, path
        assert role_of(house, me) == (role, "active")
    admin, me = house.signed_in(Role.ADMIN), id_of(house, Role.ADMIN)
    assert admin.post(f"/members/{me}", {"role": "owner", "was": "admin"}, form="/members").status_code == 403
    assert admin.post("/members/transfer", {"member": str(me)}, form="/members").status_code == 403


def test_an_admin_never_touches_an_owner_by_any_form(house: Portal) -> None:
    admin, owner = house.signed_in(Role.ADMIN), id_of(house, Role.OWNER)
    for path in (f"/members/{owner}", f"/members/{owner}/remove"):
        for was in ("owner", "member", "admin", ""):
            form = {"role": "member", "was": was, "approver": "anyone"}
            assert admin.post(path, form, form="/members").status_code == 403
    assert role_of(house, owner) == ("owner", "active")


def test_an_offer_is_nothing_to_a_third_person(house: Portal) -> None:
    page = "/members/transfer"
    owner = house.signed_in(Role.OWNER)
    assert owner.post(page, {"member": str(id_of(house, Role.MEMBER))}, form=page).status_code == 303
    seen = VERSION.search(house.signed_in(Role.MEMBER).get(f"{page}/offer").text)
    assert seen
    for role in (Role.ADMIN, Role.CONTRIBUTOR, Role.READ_ONLY, Role.OWNER):
        thief = house.signed_in(role)
        assert VERSION.search(thief.get(f"{page}/offer").text) is None
        for deed in ("accept", "decline"):
            refused = thief.post(f"{page}/{deed}", {"version": seen[1]}, form="/members")
            assert refused.status_code == 409
            assert "No transfer of ownership waits for you" in refused.text
        assert role_of(house, id_of(house, role)) == (role, "active")
    taker = house.signed_in(Role.MEMBER)
    asked = [prepared(taker, f"{page}/accept", "/members", version=seen[1]) for _ in range(2)]
    won, lost = at_once(*asked)
    assert (won, lost in (403, 409)) == (303, True)
    assert role_of(house, id_of(house, Role.MEMBER)) == ("owner", "active")


def test_two_owners_who_demote_each_other_leave_one(house: Portal) -> None:
    one, other = id_of(house, Role.OWNER), id_of(house, Role.ADMIN)
    for _ in range(5):
        with house.database() as conn:
            conn.execute(update(t.member).where(t.member.c.id.in_((one, other))).values(role="owner"))
        deeds = [(Role.OWNER, other), (Role.ADMIN, one)]
        asked = [prepared(house.signed_in(me), f"/members/{you}", "/members", role="admin") for me, you in deeds]
        assert at_once(*asked)[0] == 303
        with house.database() as conn:
            owners = select(func.count()).where(t.member.c.role == "owner", t.member.c.state == "active")
            assert conn.scalar(owners) == 1


def test_all_owners_who_step_down_at_once_leave_one(house: Portal) -> None:
    people = [id_of(house, role) for role in (Role.OWNER, Role.ADMIN, Role.MEMBER)]
    with house.database() as conn:
        conn.execute(update(t.member).where(t.member.c.id.in_(people)).values(role="owner"))
    deeds = zip((Role.OWNER, Role.ADMIN, Role.MEMBER), people, strict=True)
    asked = [prepared(house.signed_in(me), f"/members/{mine}", "/members", role="admin") for me, mine in deeds]
    assert at_once(*asked) == [303, 303, 409]
    with house.database() as conn:
        assert conn.scalar(select(func.count()).where(t.member.c.role == "owner", t.member.c.state == "active")) == 1


def test_a_form_of_who_was_demoted_meanwhile_changes_nothing(house: Portal) -> None:
    """Also in the same moment: the role is checked again on the locked row."""
    admin, victim = house.signed_in(Role.ADMIN), id_of(house, Role.CONTRIBUTOR)
    send = prepared(admin, f"/members/{victim}/remove", "/members")
    demoted = house.signed_in(Role.OWNER).post(
        f"/members/{id_of(house, Role.ADMIN)}", {"role": "member"}, form="/members"
    )
    assert demoted.status_code == 303
    assert send().status_code == 401, "the session ended with the role"
    assert role_of(house, victim) == ("contributor", "active")


def test_a_role_that_is_taken_away_within_the_request_no_longer_counts(
    house: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, victim = house.signed_in(Role.ADMIN), id_of(house, Role.CONTRIBUTOR)
    send, locked = prepared(admin, f"/members/{victim}/remove", "/members"), changes.locked

    def demoted_meanwhile(*arguments: Any) -> Any:
        with house.database() as conn:
            conn.execute(update(t.member).where(t.member.c.id == id_of(house, Role.ADMIN)).values(role="member"))
        return locked(*arguments)

    monkeypatch.setattr(changes, "locked", demoted_meanwhile)
    assert send().status_code == 403
    assert role_of(house, victim) == ("contributor", "active")


def test_no_form_tells_an_outsider_who_is_a_member(house: Portal) -> None:
    """A link that is no invitation is answered alike whatever address comes with it."""
    stranger, answers = house.client(), set[tuple[int, str]]()
    for email in (house.email(Role.OWNER), "nobody@x.example"):
        token = stranger.token("/sign-in")
        form = {"name": "X", "password": GOOD, "email": email, "csrf_token": token}
        said = stranger.post_bare(f"/invitation/{uuid4().hex}{uuid4().hex[:11]}", form)
        text = re.sub(r'(nonce|value)="[^"]+"', "", said.text)
        answers.add((said.status_code, text))
    assert {status for status, _ in answers} == {410}
    assert len(answers) == 1
