"""A thief with a cookie, a link or a forged device: what was taken means nothing once its owner has said so.

Each of these was seen to fail with the control that it is about taken away.
"""

import secrets
from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from account_holders import DEVICE, GERMANY, PASSWORD, SESSION, Person, Window, Workspace
from sqlalchemy import select, update

from strongroom.platform.control.platform import Platform
from strongroom.platform.portal.access import links
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.app import create_app
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import audit_event, device, mail_link, member, session

NEW_PASSWORD = "quite another sentence"


@pytest.fixture(scope="module")
def workspace(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Workspace:
    return Workspace(platform, create_app(platform), tenant_factory(name="Own"))


@pytest.fixture(scope="module")
def neighbour(workspace: Workspace, tenant_factory: Callable[..., Tenant]) -> Workspace:
    return Workspace(workspace.platform, workspace.app, tenant_factory(name="Neighbour"))


@pytest.fixture
def ada(workspace: Workspace) -> Person:
    return workspace.join()


def stolen(window: Window) -> Window:
    """Another browser with the session of this one, and nothing else of it."""
    return Window.open(window.workspace, GERMANY).carry(SESSION, window.cookie(SESSION))


@pytest.mark.parametrize("whose", ["nobodys", "the_attackers"])
def test_a_session_that_somebody_planted_is_not_signed_in_by_its_victim(ada: Person, whose: str) -> None:
    """Session fixation: with a made-up token, and with a good one of the attacker's own."""
    planted = ada.workspace.join().sign_in().cookie(SESSION) if whose == "the_attackers" else secrets.token_urlsafe(32)
    victim = Window.open(ada.workspace).carry(SESSION, planted)
    form = "/settings/profile" if whose == "the_attackers" else "/sign-in"
    answer = victim.post("/sign-in", {"email": ada.email, "password": PASSWORD}, form=form)
    assert answer.status_code == 303
    assert victim.cookie(SESSION) != planted
    assert ada.email in victim.get("/settings/profile").text
    assert Window.open(ada.workspace).carry(SESSION, planted).status() == 401


def test_a_form_token_from_before_sign_in_is_worth_nothing_after_it(ada: Person) -> None:
    victim = Window.open(ada.workspace)
    victim.get("/sign-in")
    planted = victim.cookie("__Host-form")
    ada.sign_in(window=victim)
    assert victim.cookie("__Host-form") != planted


@pytest.mark.parametrize("all_others", [True, False])
def test_a_stolen_cookie_is_nothing_after_it_was_revoked(ada: Person, all_others: bool) -> None:
    there = ada.sign_in()
    thief, here = stolen(there), ada.sign_in()
    assert thief.status() == 200
    (theirs,) = (row.id for row in ada.rows(session) if row.token_hash != ada.rows(session)[-1].token_hash)
    path = "/settings/sessions/end-others" if all_others else f"/settings/sessions/{theirs}/end"
    assert here.post(path, form="/settings/profile").status_code == 303
    assert thief.status() == 401


def test_a_stolen_cookie_is_nothing_after_sign_out(ada: Person) -> None:
    window = ada.sign_in()
    thief = stolen(window)
    assert window.post("/sign-out", form="/settings/profile").status_code == 303
    assert thief.status() == 401


def test_a_stolen_cookie_is_nothing_after_a_change_of_password(ada: Person) -> None:
    window = ada.sign_in()
    thief = stolen(window)
    form = {"old_password": PASSWORD, "password": NEW_PASSWORD}
    assert window.post("/settings/password", form, form="/settings/profile").status_code == 303
    assert thief.status() == 401
    assert window.status() == 200


@pytest.mark.parametrize(("path", "form"), [("", {"role": "read_only"}), ("/remove", {})])
def test_a_stolen_cookie_is_nothing_after_a_change_of_role_or_removal(
    ada: Person, path: str, form: dict[str, str]
) -> None:
    thief, owner = stolen(ada.sign_in()), ada.workspace.join(Role.OWNER).sign_in()
    answer = owner.post(f"/members/{ada.id}{path}", form, form=f"/members/{ada.id}")
    assert answer.status_code == 303, answer.text
    assert thief.status() == 401


def test_a_stolen_cookie_is_nothing_after_an_admin_has_signed_the_member_out(ada: Person) -> None:
    thief, admin = stolen(ada.sign_in()), ada.workspace.join(Role.ADMIN).sign_in()
    answer = admin.post(f"/members/{ada.id}/sessions/end", form=f"/members/{ada.id}")
    assert answer.status_code == 303
    assert thief.status() == 401
    assert ada.rows(device) == []


@pytest.mark.parametrize(
    ("actor", "target", "status"),
    [(Role.ADMIN, Role.OWNER, 403), (Role.MEMBER, Role.MEMBER, 403), (Role.OWNER, Role.OWNER, 303)],
)
def test_nobody_signs_out_who_is_out_of_their_reach(
    workspace: Workspace, actor: Role, target: Role, status: int
) -> None:
    victim, actors = workspace.join(target), workspace.join(actor)
    theirs, window = victim.sign_in(), actors.sign_in()
    answer = window.post(f"/members/{victim.id}/sessions/end", form="/settings/profile")
    assert answer.status_code == status
    assert theirs.status() == (401 if status == 303 else 200)


def test_nobody_signs_themselves_out_by_the_page_of_members(workspace: Workspace) -> None:
    owner = workspace.join(Role.OWNER)
    window = owner.sign_in()
    assert window.post(f"/members/{owner.id}/sessions/end", form="/settings/profile").status_code == 409
    assert window.status() == 200


def test_a_removed_member_is_out_even_if_the_session_was_left(ada: Person) -> None:
    """The second of two walls: the look-up asks for the member's state as well."""
    window = ada.sign_in()
    with ada.workspace.database() as conn:
        conn.execute(update(member).where(member.c.id == ada.id).values(state="removed"))
    assert window.status() == 401


def test_a_cookie_of_one_workspace_is_nothing_in_another(ada: Person, neighbour: Workspace) -> None:
    window = ada.sign_in()
    there = Window.open(neighbour).carry(SESSION, window.cookie(SESSION)).carry(DEVICE, window.cookie(DEVICE))
    assert there.status() == 401
    with neighbour.database() as conn:
        noted = conn.execute(select(audit_event.c.id).where(audit_event.c.action == "security.unknown_session")).all()
    assert noted


@pytest.mark.parametrize("forged", ["made-up", "anothers", "of_another_workspace"])
def test_a_forged_device_is_told_like_any_new_one(ada: Person, neighbour: Workspace, forged: str) -> None:
    ada.sign_in()
    value = {
        "made-up": lambda: secrets.token_urlsafe(32),
        "anothers": lambda: ada.workspace.join().sign_in().cookie(DEVICE),
        "of_another_workspace": lambda: neighbour.join().sign_in().cookie(DEVICE),
    }[forged]()
    thief = ada.sign_in(window=Window.open(ada.workspace).carry(DEVICE, value))
    assert [mail.subject for mail in ada.mails()] == ["New sign-in to Own"]
    assert len(ada.rows(device)) == 2
    if forged != "anothers":  # what somebody made up does not become known, or it could be planted beforehand
        assert thief.cookie(DEVICE) != value


def test_the_device_cookie_alone_opens_nothing(ada: Person) -> None:
    token = ada.sign_in().cookie(DEVICE)
    assert Window.open(ada.workspace).carry(DEVICE, token).status() == 303
    assert Window.open(ada.workspace).carry(SESSION, token).status() == 401


def test_of_two_who_confirm_at_once_one_acts(ada: Person) -> None:
    ada.sign_in()
    ada.sign_in()
    link = ada.mails()[-1].link
    windows, start, answers = [Window.open(ada.workspace) for _ in range(4)], Barrier(4), list[int]()
    for window in windows:
        window.get(link)

    def confirm(window: Window) -> None:
        start.wait()
        answers.append(window.post(link, form="/sign-in").status_code)

    asking = [Thread(target=confirm, args=(window,)) for window in windows]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert sorted(answers) == [200, 410, 410, 410]
    assert len([mail for mail in ada.mails() if mail.link.startswith("/reset/")]) == 1


def test_a_link_of_another_workspace_is_nothing_here(ada: Person, neighbour: Workspace) -> None:
    ada.sign_in()
    window = ada.sign_in()
    link = ada.mails()[-1].link
    there = Window.open(neighbour)
    assert there.get(link).status_code == 410
    assert there.post(link, form="/sign-in").status_code == 410
    assert window.status() == 200


def test_a_link_of_another_purpose_ends_nothing(ada: Person) -> None:
    window = ada.sign_in()
    with ada.workspace.database() as conn:
        tokens = [links.make(conn, ada.id, purpose, timedelta(hours=1)) for purpose in (links.RESET, links.UNLOCK)]
    for token in tokens:
        assert Window.open(ada.workspace).post(f"/not-me/{token}", form="/sign-in").status_code == 410
    assert window.status() == 200
    assert [row.used_at for row in ada.rows(mail_link)] == [None, None]


def test_a_page_of_another_site_cannot_confirm(ada: Person) -> None:
    ada.sign_in()
    window = ada.sign_in()
    link = ada.mails()[-1].link
    base = f"https://{ada.workspace.host}"
    answer = window.client.post(link, base_url=base, headers={"Referer": "https://evil.example/"})
    assert answer.status_code in (400, 403)
    assert window.status() == 200


def test_the_link_gives_nobody_a_session_or_a_password(ada: Person) -> None:
    """Whoever got hold of the mail can end what there is, and gets nothing by it."""
    ada.sign_in()
    ada.sign_in()
    stranger = Window.open(ada.workspace)
    answer = stranger.post(ada.mails()[-1].link)
    assert answer.status_code == 200
    assert "/reset/" not in answer.text
    assert ada.email not in answer.text
    assert not stranger.cookie(SESSION)
    assert stranger.status() == 303
