"""“This was not me”: what ends, what stays, and that reading the page does nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import bcrypt
import pytest
from account_holders import PASSWORD, Person, Window, Workspace
from sqlalchemy import insert, select, update

from strongroom.platform.portal.access import links
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.tables import (
    api_token,
    audit_event,
    challenge,
    device,
    invitation,
    mail_link,
    member,
    ownership_transfer,
    passkey,
    recovery_code,
    session,
    totp,
)

DAY = timedelta(days=1)


def told(ada: Person) -> tuple[Window, Window, str]:
    """Ada's own browser, a thief's, and the link in the mail about the thief's sign-in."""
    mine, thief = ada.sign_in(), ada.sign_in()
    return mine, thief, ada.mails()[-1].link


def sealed(ada: Person, table: Any, column: str, **values: object) -> dict[str, Any]:
    """A row of the member's with a sealed value in `column`."""
    row_id = new_uuid7()
    value = ada.workspace.cipher.seal(table.c[column], row_id, "x")
    return {"id": row_id, "member_id": ada.id, column: value} | values


def add(ada: Person, table: Any, row: dict[str, Any]) -> None:
    with ada.workspace.database() as conn:
        conn.execute(insert(table), row)


def add_passkey(ada: Person, created: datetime) -> None:
    key = {"credential_id": new_uuid7().bytes, "public_key": b"key"}
    add(ada, passkey, sealed(ada, passkey, "name", created_at=created, **key))


def add_totp(ada: Person, created: datetime) -> None:
    add(ada, totp, sealed(ada, totp, "secret", created_at=created, confirmed_at=created))


def test_reading_the_page_changes_nothing(ada: Person) -> None:
    mine, thief, link = told(ada)
    page = Window.open(ada.workspace).get(link)
    assert page.status_code == 200
    assert "every session of your account ends" in page.text
    assert ada.email not in page.text
    assert "Ada Lovelace" not in page.text
    assert [mine.status(), thief.status()] == [200, 200]


def test_confirming_ends_every_session_and_the_password(ada: Person) -> None:
    mine, thief, link = told(ada)
    answer = Window.open(ada.workspace).post(link)
    assert answer.status_code == 200
    assert "2 sessions ended" in answer.text
    assert [mine.status(), thief.status()] == [401, 401]
    assert thief.try_to_sign_in(ada.email, PASSWORD).status_code == 401
    assert ada.rows(device) == []


def test_confirming_makes_no_hash_that_others_could_keep_it_from(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, link = told(ada)
    monkeypatch.setattr(bcrypt, "hashpw", lambda *_: pytest.fail("hashed"))
    assert Window.open(ada.workspace).post(link).status_code == 200


def test_confirming_sends_a_link_to_a_new_password(ada: Person) -> None:
    _, _, link = told(ada)
    Window.open(ada.workspace).post(link)
    mail = ada.mails()[-1]
    assert mail.subject == "Choose a new password for Own"
    assert mail.link.startswith("/reset/")
    with ada.workspace.database() as conn:
        now, token = datetime.now(UTC), mail.link.removeprefix("/reset/")
        assert links.look(conn, token, links.RESET, now) == ada.id
        assert links.look(conn, token, links.RESET, now + timedelta(minutes=30)) is None


def test_confirming_ends_tokens_challenges_invitations_and_transfers(ada: Person) -> None:
    _, _, link = told(ada)
    ends = {"token_hash": new_uuid7().bytes, "expires_at": datetime.now(UTC) + DAY}
    add(ada, api_token, sealed(ada, api_token, "name", hint="x", scopes=[], **ends))
    add(ada, challenge, {"id": new_uuid7(), "member_id": ada.id, "purpose": "second_factor", **ends})
    row = sealed(ada, invitation, "email", email_index=b"x", role="member", invited_by=ada.id, **ends)
    add(ada, invitation, {name: value for name, value in row.items() if name != "member_id"})
    transfer = {"id": new_uuid7(), "from_id": ada.id, "to_id": ada.id, "expires_at": ends["expires_at"]}
    add(ada, ownership_transfer, transfer)
    assert "1 API token stopped working" in Window.open(ada.workspace).post(link).text
    assert all(row.revoked_at for row in ada.rows(api_token))
    assert all(row.used_at for row in ada.rows(challenge))
    with ada.workspace.database() as conn:
        assert conn.scalar(select(invitation.c.revoked_at).where(invitation.c.id == row["id"]))
        assert conn.scalar(select(ownership_transfer.c.cancelled_at).where(ownership_transfer.c.id == transfer["id"]))


def test_links_that_were_sent_before_are_used_up(ada: Person) -> None:
    _, _, link = told(ada)
    with ada.workspace.database() as conn:
        links.make(conn, ada.id, links.RESET, DAY)
        links.make(conn, ada.id, links.UNLOCK, DAY)
    Window.open(ada.workspace).post(link)
    open_ones = [row.purpose for row in ada.rows(mail_link) if row.used_at is None]
    assert open_ones == ["reset"]  # the one just sent


def test_a_second_time_is_a_calm_page(ada: Person) -> None:
    _, _, link = told(ada)
    window = Window.open(ada.workspace)
    assert window.post(link).status_code == 200
    again = window.get(link)
    assert again.status_code == 410
    assert "This link has done its work" in again.text
    assert window.post(link, form="/sign-in").status_code == 410
    assert len([mail for mail in ada.mails() if mail.link.startswith("/reset/")]) == 1


@pytest.mark.parametrize(("age", "status"), [(7 * DAY - timedelta(seconds=30), 200), (7 * DAY, 410)])
def test_the_link_is_good_for_seven_days(ada: Person, age: timedelta, status: int) -> None:
    _, _, link = told(ada)
    with ada.workspace.database() as conn:
        conn.execute(
            update(mail_link).where(mail_link.c.member_id == ada.id).values(expires_at=mail_link.c.expires_at - age)
        )
    assert Window.open(ada.workspace).get(link).status_code == status


def test_factors_from_before_stay_and_those_added_since_go(ada: Person) -> None:
    _, _, link = told(ada)
    add_totp(ada, datetime.now(UTC) - 30 * DAY)
    add_passkey(ada, datetime.now(UTC))
    add(ada, recovery_code, {"id": new_uuid7(), "member_id": ada.id, "code_hash": new_uuid7().bytes})
    assert "Second factors that were added lately are gone too" in Window.open(ada.workspace).post(link).text
    assert ada.rows(passkey) == ada.rows(recovery_code) == []
    assert len(ada.rows(totp)) == 1


def test_the_link_of_a_later_mail_takes_as_much_away_as_that_of_the_first(ada: Person) -> None:
    add_totp(ada, datetime.now(UTC) - 30 * DAY)
    with ada.workspace.database() as conn:
        links.make(conn, ada.id, links.NOT_ME, 7 * DAY)
        conn.execute(
            update(mail_link).where(mail_link.c.member_id == ada.id).values(created_at=datetime.now(UTC) - 3 * DAY)
        )
        later = links.make(conn, ada.id, links.NOT_ME, 7 * DAY)
    add_passkey(ada, datetime.now(UTC) - 3 * DAY)
    Window.open(ada.workspace).post(f"/not-me/{later}")
    assert ada.rows(passkey) == []
    assert len(ada.rows(totp)) == 1


def test_an_app_is_as_old_as_its_confirmation(ada: Person) -> None:
    _, _, link = told(ada)
    add_passkey(ada, datetime.now(UTC) - 30 * DAY)
    add_totp(ada, datetime.now(UTC) - 30 * DAY)
    with ada.workspace.database() as conn:
        conn.execute(update(totp).where(totp.c.member_id == ada.id).values(confirmed_at=datetime.now(UTC)))
    Window.open(ada.workspace).post(link)
    assert ada.rows(totp) == []
    assert len(ada.rows(passkey)) == 1


def test_an_only_factor_that_is_new_is_kept_but_lets_nobody_in(ada: Person) -> None:
    """Else whoever reads the member's mail could take a second factor away that was only just set up."""
    _, _, link = told(ada)
    add_passkey(ada, datetime.now(UTC))
    (before,) = ada.rows(passkey)
    assert "ask an Owner or Admin" in Window.open(ada.workspace).post(link).text
    (after,) = ada.rows(passkey)
    assert after.public_key == b""
    assert after.credential_id != before.credential_id


def test_a_new_authenticator_app_as_only_factor_stays(ada: Person) -> None:
    _, _, link = told(ada)
    add_totp(ada, datetime.now(UTC))
    add(ada, recovery_code, {"id": new_uuid7(), "member_id": ada.id, "code_hash": new_uuid7().bytes})
    assert "ask an Owner or Admin" in Window.open(ada.workspace).post(link).text
    assert len(ada.rows(totp)) == 1  # without the password it lets nobody in
    assert ada.rows(recovery_code) == []  # as the stranger may have them


def test_it_is_in_the_audit_log(ada: Person) -> None:
    _, _, link = told(ada)
    Window.open(ada.workspace).post(link)
    with ada.workspace.database() as conn:
        event = audit_event.c
        found = conn.execute(
            select(event.detail).where(event.actor_id == ada.id, event.action == "member.disowned_sign_in")
        )
        assert found.scalar_one() == {"sessions": 2, "tokens": 0, "factors": 0, "locked": False}


def test_a_link_that_was_never_sent_is_noted(workspace: Workspace) -> None:
    with workspace.database() as conn:
        before = len(conn.execute(select(audit_event).where(audit_event.c.action == "security.unknown_link")).all())
    assert Window.open(workspace).get("/not-me/made-up").status_code == 410
    with workspace.database() as conn:
        after = len(conn.execute(select(audit_event).where(audit_event.c.action == "security.unknown_link")).all())
    assert after == before + 1


def test_others_are_not_touched(ada: Person) -> None:
    bob = ada.workspace.join()
    his = bob.sign_in()
    _, _, link = told(ada)
    Window.open(ada.workspace).post(link)
    assert his.status() == 200
    with ada.workspace.database() as conn:
        assert conn.scalar(select(member.c.state).where(member.c.id == ada.id)) == "active"
    assert [row.revoked_at is None for row in bob.rows(session)] == [True]
