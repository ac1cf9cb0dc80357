"""The way back in: a link by mail for a new password, or past the account's limit of tries."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import pytest
from recovery_mail import asked_link, deliver, link_in, waiting
from sqlalchemy import insert, select, update

from strongroom.platform.jobs.worker import run_worker
from strongroom.platform.keys import FieldCipher
from strongroom.platform.keys.passwords import pepper_id, prefix_of
from strongroom.platform.portal.access import links
from strongroom.platform.portal.recovery import letters
from strongroom.platform.portal.recovery.letters import GOOD_FOR
from strongroom.platform.web import sessions
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import members

Portal = Any  # the fixture's class, in conftest.py
NEW = "marmalade under seven bridges"
W = "birch"  # the workspace whose members lose their passwords here
EMAIL = "forgetful@people.example"
HASHLESS = update(tables.member).values(password_hash=None)


@pytest.fixture
def forgetful(portal: Portal) -> UUID:
    """A member of the workspace, with the password of all others, whatever tests before have done."""
    tenant = portal.workspaces[W]
    cipher, columns = FieldCipher(portal.platform.keys.tenant(tenant.id)), tables.member.c
    with portal.database(W) as conn:
        stored = members.by_id(conn, portal.people[W, Role.MEMBER]).password_hash
        found = members.by_email(conn, cipher.blind(columns.email_index, EMAIL))
        if found is None:
            row_id = new_uuid7()
            sealed = {
                "email": cipher.seal(columns.email, row_id, EMAIL),
                "name": cipher.seal(columns.name, row_id, "F"),
            }
            index = cipher.blind(columns.email_index, EMAIL)
            members.insert(conn, id=row_id, email_index=index, password_hash=stored, role="member", **sealed)
            return row_id
        conn.execute(update(tables.member).where(columns.id == found.id).values(password_hash=stored, state="active"))
        return found.id


def test_from_the_link_to_the_new_password(portal: Portal, forgetful: UUID) -> None:
    elsewhere, browser = portal.client(W), portal.client(W)
    assert elsewhere.sign_in(EMAIL).status_code == 303
    path = asked_link(portal, browser, EMAIL)
    page = browser.get(path)
    assert page.status_code == 200 and EMAIL in page.text
    assert "__Host-session" not in str(page.headers)
    answer = browser.post(path, {"password": NEW}, form=path)
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    assert browser.cookie(sessions.COOKIE) is None  # nobody is signed in by it
    assert elsewhere.get("/").status_code == 401
    assert browser.sign_in(EMAIL).status_code == 401
    assert browser.sign_in(EMAIL, NEW).status_code == 303
    assert actions(portal)[-3:].count("member.password_reset") == 1
    assert "Your password for Birch was changed" in [mail["Subject"] for mail in all_mail(portal)]


def test_a_link_is_used_by_posting_only_and_once(portal: Portal, forgetful: UUID) -> None:
    browser = portal.client(W)
    path = asked_link(portal, browser, EMAIL)
    assert [browser.get(path).status_code for _ in range(3)] == [200] * 3  # programs that scan mail open it
    token = browser.token(path)
    assert browser.post_bare(path, {"password": NEW, "csrf_token": token}).status_code == 303
    answer = browser.post_bare(path, {"password": NEW + "!", "csrf_token": token})
    assert answer.status_code == 410 and "no longer good" in answer.text
    assert browser.get(path).status_code == 410


def test_a_password_that_will_not_do_leaves_the_link_good(portal: Portal, forgetful: UUID) -> None:
    browser = portal.client(W)
    path = asked_link(portal, browser, EMAIL)
    for refused in ("short", "passwordpassword", "forgetful@people.example", "qwertyqwerty", "x" * 1025):
        answer = browser.post(path, {"password": refused}, form=path)
        assert answer.status_code == 422 and 'aria-invalid="true"' in answer.text, refused
        assert refused not in answer.text or refused == EMAIL
    assert browser.post(path, {"password": NEW}, form=path).status_code == 303


def test_a_newer_link_ends_the_older_one_and_a_changed_password_ends_both(portal: Portal, forgetful: UUID) -> None:
    browser = portal.client(W)
    older, newer = (asked_link(portal, browser, EMAIL) for _ in range(2))
    assert (browser.get(older).status_code, browser.get(newer).status_code) == (410, 200)
    browser.sign_in(EMAIL)
    change = {"old_password": portal.password, "password": NEW}
    assert browser.post("/settings/password", change, form="/settings/profile").status_code == 303
    assert browser.get(newer).status_code == 410


@pytest.mark.parametrize(("seconds", "status"), [(-60, 200), (2, 410)])
def test_it_ends_after_thirty_minutes(portal: Portal, forgetful: UUID, seconds: int, status: int) -> None:
    with portal.database(W) as conn:
        token = links.make(conn, forgetful, links.RESET, GOOD_FOR)
        aged = datetime.now(UTC) - timedelta(seconds=seconds)  # as if so much of the time were over
        conn.execute(update(tables.mail_link).where(tables.mail_link.c.used_at.is_(None)).values(expires_at=aged))
    assert timedelta(minutes=30) == GOOD_FOR
    assert portal.client(W).get(f"/reset/{token}").status_code == status


@pytest.mark.parametrize(
    "gone",
    [
        lambda conn, who: members.set_state(conn, who, "removed"),
        lambda conn, who: conn.execute(
            update(tables.member).where(tables.member.c.id == who).values(password_hash=None)
        ),
    ],
)
def test_who_is_removed_or_never_joined_gets_nothing(
    portal: Portal, forgetful: UUID, gone: Callable[[Any, UUID], object]
) -> None:
    browser = portal.client(W)
    asked_link(portal, browser, EMAIL)  # such a one would get it
    with portal.database(W) as conn:
        gone(conn, forgetful)
    browser.post("/reset", {"email": EMAIL}, form="/reset")
    assert deliver(portal) == []


def test_a_removed_member_cannot_use_an_older_link(portal: Portal, forgetful: UUID) -> None:
    browser = portal.client(W)
    path = asked_link(portal, browser, EMAIL)
    with portal.database(W) as conn:
        members.set_state(conn, forgetful, "removed")
    assert browser.get(path).status_code == 410
    assert browser.post(path, {"password": NEW}).status_code == 410


@pytest.fixture
def second_factor(portal: Portal, forgetful: UUID) -> Generator[None]:
    """The member has a second factor meanwhile."""
    cipher, row_id = FieldCipher(portal.platform.keys.tenant(portal.workspaces[W].id)), new_uuid7()
    row = {"id": row_id, "member_id": forgetful, "confirmed_at": datetime.now(UTC)}
    with portal.database(W) as conn:
        conn.execute(insert(tables.totp), row | {"secret": cipher.seal(tables.totp.c.secret, row_id, "x" * 32)})
    yield
    with portal.database(W) as conn:
        conn.execute(tables.totp.delete().where(tables.totp.c.member_id == forgetful))


def test_a_second_factor_is_asked_for_after_a_reset(portal: Portal, forgetful: UUID, second_factor: None) -> None:
    browser = portal.client(W)
    path = asked_link(portal, browser, EMAIL)
    assert browser.post(path, {"password": NEW}, form=path).location == "/sign-in"
    answer = browser.sign_in(EMAIL, NEW)
    assert answer.location.startswith("/sign-in/second")
    assert browser.cookie(sessions.COOKIE) is None


def test_a_reset_ends_a_sign_in_that_is_half_done(portal: Portal, forgetful: UUID, second_factor: None) -> None:
    thief, owner = portal.client(W), portal.client(W)
    assert thief.sign_in(EMAIL).location.startswith("/sign-in/second")
    assert thief.get("/sign-in/second").status_code == 200
    path = asked_link(portal, owner, EMAIL)
    owner.post(path, {"password": NEW}, form=path)
    assert thief.get("/sign-in/second").status_code != 200


def test_the_address_of_a_link_goes_to_nobody_else(portal: Portal, forgetful: UUID) -> None:
    browser = portal.client(W)
    for purpose in ("reset", "unlock"):
        for path in (asked_link(portal, browser, EMAIL, purpose), f"/{purpose}/never-sent"):
            assert browser.get(path).headers["Referrer-Policy"] == "strict-origin"


def test_a_link_that_was_never_sent_is_noted(portal: Portal) -> None:
    browser = portal.client(W)
    assert browser.get("/reset/never-sent-from-here").status_code == 410
    assert actions(portal)[-1] == "security.unknown_link"


def test_beyond_three_an_hour_nothing_more_is_sent(portal: Portal, forgetful: UUID) -> None:
    browser = portal.client(W)
    waiting(portal)
    sent = 0
    for _ in range(5):
        answer = browser.post("/reset", {"email": EMAIL}, form="/reset")
        assert answer.status_code == 200 and "is on its way" in answer.text
        sent += len(deliver(portal))
    assert sent == 3


def test_a_workspace_sends_so_many_links_an_hour_and_asking_in_vain_uses_up_none(
    portal: Portal, forgetful: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = portal.client(W)
    waiting(portal)
    for number in range(3):
        assert browser.post("/reset", {"email": f"{number}@people.example"}, form="/reset").status_code == 200
    assert deliver(portal) == []
    with portal.database(W) as conn:
        made = links.made_since(conn, links.RESET, datetime.now(UTC) - letters.WITHIN)
    monkeypatch.setattr(letters, "MOST", made + 1)
    sent = 0
    for _ in range(2):
        browser.post("/reset", {"email": EMAIL}, form="/reset")
        sent += len(deliver(portal))
    assert sent == 1


def test_a_real_worker_sends_the_link(portal: Portal, forgetful: UUID) -> None:
    waiting(portal)
    before = set(portal.platform.settings.outbox_dir.glob("*.eml"))
    portal.client(W).post("/reset", {"email": EMAIL}, form="/reset")
    run_worker(portal.platform, wait=False)
    new = set(portal.platform.settings.outbox_dir.glob("*.eml")) - before  # what other tests left is sent, too
    assert sum(f"To: {EMAIL}".encode() in path.read_bytes() for path in new) == 1


def test_a_locked_accounts_owner_gets_in_by_a_link_and_nobody_else_does(portal: Portal, forgetful: UUID) -> None:
    owner, stranger = portal.client(W), portal.client(W)
    codes = [stranger.sign_in(EMAIL, "a wrong password").status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    locked = owner.sign_in(EMAIL)
    assert locked.status_code == 429 and "Send me a link to get in" in locked.text
    path = asked_link(portal, owner, EMAIL, "unlock")
    assert "Go on to sign in" in owner.get(path).text
    assert owner.sign_in(EMAIL).status_code == 429  # opening the link is not using it
    assert owner.post(path, {}, form=path).location == "/sign-in"
    assert owner.cookie(sessions.COOKIE) is None
    assert stranger.sign_in(EMAIL).status_code == 429
    assert stranger.post(path, {}).status_code == 410
    assert owner.sign_in(EMAIL, "not the password").status_code == 401  # the password is asked for as ever
    assert owner.sign_in(EMAIL).status_code == 303


def test_an_unlocked_browser_has_five_tries_not_any_number(portal: Portal, forgetful: UUID) -> None:
    browser = portal.client(W)
    path = asked_link(portal, browser, EMAIL, "unlock")
    browser.post(path, {}, form=path)
    codes = [browser.sign_in(EMAIL, "a wrong password").status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]


def test_an_unlocking_is_for_one_account(portal: Portal, forgetful: UUID) -> None:
    browser, other = portal.client(W), portal.email(Role.OWNER)
    for _ in range(5):
        browser.sign_in(other, "a wrong password")
    path = asked_link(portal, browser, EMAIL, "unlock")
    browser.post(path, {}, form=path)
    assert browser.sign_in(other).status_code == 429


def test_the_mail_says_what_it_is_and_holds_no_address_in_its_subject(portal: Portal, forgetful: UUID) -> None:
    waiting(portal)
    portal.client(W).post("/reset", {"email": EMAIL.upper()}, form="/reset")
    [mail] = deliver(portal)
    assert mail["Subject"] == "Choose a new password for Birch"
    assert link_in(mail).startswith("/reset/")


def test_password_managers_find_the_page(portal: Portal) -> None:
    assert portal.signed_in(Role.MEMBER).get("/.well-known/change-password").location == "/settings/profile"


def test_a_hash_of_an_earlier_pepper_is_renewed_by_the_right_password_only(portal: Portal, forgetful: UUID) -> None:
    keys = portal.platform.keys
    before = keys.platform()
    keys.replace_platform(before.with_new_pepper())
    browser = portal.client(W)
    assert browser.sign_in(EMAIL, "a wrong password").status_code == 401
    assert not stored_hash(portal, forgetful).startswith(prefix_of(pepper_id(keys.platform().pepper)))
    assert browser.sign_in(EMAIL).status_code == 303
    renewed = stored_hash(portal, forgetful)
    assert renewed.startswith(prefix_of(pepper_id(keys.platform().pepper)))
    browser.client.delete_cookie(sessions.COOKIE, domain=portal.host(W))
    assert browser.sign_in(EMAIL).status_code == 303
    assert stored_hash(portal, forgetful) == renewed


def stored_hash(portal: Portal, member_id: UUID) -> str:
    with portal.database(W) as conn:
        return str(members.by_id(conn, member_id).password_hash)


def actions(portal: Portal) -> list[str]:
    event = tables.audit_event.c
    with portal.database(W) as conn:
        return list(conn.scalars(select(event.action).order_by(event.id)))


def all_mail(portal: Portal) -> list[Any]:
    folder = portal.platform.settings.outbox_dir
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in folder.glob("*.eml")]
