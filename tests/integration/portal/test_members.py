"""Inviting, joining, roles, and what each role may not do to another."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import audit_event, invitation, member, outbox

Portal = Any  # the class is in visitors.py
LINK = re.compile(r'value="https://[^"/]+(/invitation/[\w-]+)"')
GOOD = "three words and more"


def invite(portal: Portal, email: str, role: str = "member", actor: Role = Role.OWNER) -> str:
    answer = portal.signed_in(actor).post("/members/invite", {"email": email, "role": role}, form="/members/invite")
    assert answer.status_code == 200, answer.text
    found = LINK.search(answer.text)
    assert found
    return found[1]


def id_of(portal: Portal, name: str) -> str:
    page = portal.signed_in(Role.OWNER).get("/members").text
    found = re.search(rf'/members/([0-9a-f-]{{36}})"[^>]*the role of {name}"', page)
    assert found
    return found[1]


def join(portal: Portal, link: str, name: str = "Nina New", password: str = GOOD) -> Any:
    return portal.client().post(link, {"name": name, "password": password}, form=link)


def test_an_invited_person_joins_once(portal: Portal) -> None:
    link = invite(portal, "nina@people.example")
    assert join(portal, link).status_code == 303
    assert portal.client().get(link).status_code == 410
    assert portal.client().sign_in("Nina@People.example", GOOD).status_code == 303


def test_a_bad_name_or_password_leaves_the_invitation_good(portal: Portal) -> None:
    link = invite(portal, "olaf@people.example")
    assert join(portal, link, password="short").status_code == 422
    assert join(portal, link, name=" ").status_code == 422
    answer = join(portal, link, name="Olaf Kept", password="olaf@people.example")
    assert answer.status_code == 422
    assert 'value="Olaf Kept"' in answer.text
    assert join(portal, link, name="Olaf Kept").status_code == 303


def test_the_message_waits_sealed_and_is_written_out(portal: Portal) -> None:
    link = invite(portal, "mail@people.example")
    with portal.database() as conn:
        row = conn.execute(select(outbox).order_by(outbox.c.created_at.desc()).limit(1)).one()
    assert row.sent_at is not None
    assert link.encode() not in row.body
    assert b"mail@people.example" not in row.recipient
    written = portal.platform.settings.outbox_dir / f"{row.id}.eml"
    assert written.stat().st_mode & 0o777 == 0o600
    assert "mail@people.example" in written.read_text()


def test_a_newer_invitation_ends_the_older(portal: Portal) -> None:
    first = invite(portal, "twice@people.example")
    second = invite(portal, "twice@people.example")
    assert portal.client().get(first).status_code == 410
    assert portal.client().get(second).status_code == 200


def test_a_member_is_not_invited_again(portal: Portal) -> None:
    form = {"email": portal.email(Role.ADMIN), "role": "member"}
    answer = portal.signed_in(Role.OWNER).post("/members/invite", form, form="/members/invite")
    assert answer.status_code == 422
    assert "a member already" in answer.text


def test_an_invitation_of_one_workspace_is_nothing_in_another(portal: Portal) -> None:
    link = invite(portal, "across@people.example")
    assert portal.client("birch").get(link).status_code == 410


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_an_admin_grants_neither_owner_nor_admin(portal: Portal, role: str) -> None:
    browser = portal.signed_in(Role.ADMIN)
    form = {"email": "high@people.example", "role": role}
    assert browser.post("/members/invite", form, form="/members/invite").status_code == 403
    contributor = portal.people["acme", Role.CONTRIBUTOR]
    assert browser.post(f"/members/{contributor}", {"role": role}, form="/members").status_code == 403


def test_an_admin_never_touches_an_owner(portal: Portal) -> None:
    browser, owner = portal.signed_in(Role.ADMIN), portal.people["acme", Role.OWNER]
    assert browser.post(f"/members/{owner}", {"role": "member"}, form="/members").status_code == 403
    assert browser.post(f"/members/{owner}/remove", form="/members").status_code == 403


def test_a_workspace_keeps_its_last_owner(portal: Portal) -> None:
    browser, owner = portal.signed_in(Role.OWNER), portal.people["acme", Role.OWNER]
    for path, form in ((f"/members/{owner}", {"role": "member"}), (f"/members/{owner}/remove", {})):
        answer = browser.post(path, form, form="/members")
        assert answer.status_code == 409
        assert "always has an Owner" in answer.text
    with portal.database() as conn:
        assert conn.execute(select(member.c.role, member.c.state).where(member.c.id == owner)).one() == (
            "owner",
            "active",
        )


def test_a_removed_member_is_out_at_once_and_can_come_back(portal: Portal) -> None:
    link = invite(portal, "rosa@people.example", "contributor")
    theirs = portal.client()
    theirs.post(link, {"name": "Rosa", "password": GOOD}, form=link)
    rosa = id_of(portal, "Rosa")
    assert theirs.get("/members").status_code == 200
    assert portal.signed_in(Role.ADMIN).post(f"/members/{rosa}/remove", form="/members").status_code == 303
    assert theirs.get("/members").status_code == 401
    assert portal.client().sign_in("rosa@people.example", GOOD).status_code == 401
    again = invite(portal, "rosa@people.example", "member")
    assert join(portal, again, name="Rosa").status_code == 303
    with portal.database() as conn:
        actions = conn.execute(select(audit_event.c.action).where(audit_event.c.object_id == rosa)).scalars().all()
    assert actions.count("member.joined") == 2
    assert "member.removed" in actions


def test_a_new_role_counts_from_the_next_request(portal: Portal) -> None:
    link = invite(portal, "ben@people.example", "member")
    theirs = portal.client()
    theirs.post(link, {"name": "Ben", "password": GOOD}, form=link)
    ben = id_of(portal, "Ben")
    portal.signed_in(Role.OWNER).post(f"/members/{ben}", {"role": "read_only"}, form="/members")
    assert theirs.get("/members").status_code == 401
    assert portal.client().sign_in("ben@people.example", GOOD).status_code == 303


def test_a_member_of_another_workspace_is_not_found(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    for stranger in (portal.people["birch", Role.MEMBER], uuid4()):
        assert browser.get(f"/members/{stranger}").status_code == 404
        assert browser.post(f"/members/{stranger}/remove", form="/members").status_code == 404


def test_a_removed_or_demoted_admin_leaves_no_way_back_in(portal: Portal) -> None:
    assert join(portal, invite(portal, "ada@people.example", "admin"), "Ada Admin").status_code == 303
    for deed, data in ((("",), {"role": "member"}), (("/remove",), {})):
        browser = portal.client()
        assert browser.sign_in("ada@people.example", GOOD).status_code == 303
        owner = portal.signed_in(Role.OWNER)
        page = f"/members/{id_of(portal, 'Ada Admin')}"
        if deed == ("/remove",):
            assert owner.post(page, {"role": "admin"}, form=page).status_code == 303
            assert browser.sign_in("ada@people.example", GOOD).status_code == 303
        sent = browser.post("/members/invite", {"email": "back@people.example", "role": "member"}, form="/members")
        found = LINK.search(sent.text)
        assert found, sent.text
        assert owner.post(page + deed[0], data, form=page).status_code == 303
        assert portal.client().get(found[1]).status_code == 410


def test_an_admin_does_not_end_an_owners_invitation(portal: Portal) -> None:
    link = invite(portal, "second@people.example", "owner")
    admin = portal.signed_in(Role.ADMIN)
    with portal.database() as conn:
        row_id = (
            conn.execute(select(invitation.c.id).where(invitation.c.role == "owner").order_by(invitation.c.id.desc()))
            .scalars()
            .first()
        )
    assert admin.post(f"/members/invitations/{row_id}/withdraw", form="/members").status_code == 403
    again = {"email": "second@people.example", "role": "read_only"}
    assert admin.post("/members/invite", again, form="/members/invite").status_code == 403
    assert portal.client().get(link).status_code == 200


def test_a_person_who_was_only_imported_can_be_invited(portal: Portal) -> None:
    assert join(portal, invite(portal, "imported@people.example"), "Ida Imported").status_code == 303
    with portal.database() as conn:
        row_id = UUID(id_of(portal, "Ida Imported"))
        conn.execute(update(member).where(member.c.id == row_id).values(password_hash=None))
    assert join(portal, invite(portal, "imported@people.example"), "Ida Imported").status_code == 303
