"""Enrolling an app, its recovery codes, removing it; an admin's reset."""

import re

from account_holders import SESSION, Person, Window, Workspace
from factor_holders import enrol_app, events, give_code, give_codes, half_in, is_in
from pyotp.totp import TOTP

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables

PAGE = "/settings/security/app"


def begin(window: Window) -> TOTP:
    """Begin to enrol an app; the app, as the page describes it."""
    assert window.post(f"{PAGE}/begin", form="/settings/security").location == PAGE
    secret = re.search(r'id="secret">([^<]+)<', window.get(PAGE).text)
    assert secret
    return TOTP(secret[1].replace(" ", ""))


def test_an_app_counts_once_its_code_was_right_and_ten_codes_are_shown_once(ada: Person) -> None:
    window = ada.sign_in()
    app = begin(window)
    assert window.post(PAGE, {"code": "000000"}).status_code == 422
    code = app.now()
    answer = window.post(PAGE, {"code": code})
    codes = re.findall(r"<code>([0-9A-Z-]{29})</code>", answer.text)
    assert len(set(codes)) == 10
    assert not any(code in window.get("/settings/security").text for code in codes)
    assert [mail.subject for mail in ada.mails()] == ["A way to sign in to Own was added"]
    assert "authenticator app" in ada.mails()[-1].body
    assert len(events(ada, "totp.added")) == 1
    later = half_in(ada)
    assert give_code(later, code).status_code == 401  # that code is used up
    assert give_code(later, codes[0]).location == "/"


def test_the_secret_is_sealed_and_the_codes_are_hashed(ada: Person) -> None:
    window = ada.sign_in()
    app = begin(window)
    answer = window.post(PAGE, {"code": app.now()})
    (row,) = ada.rows(tables.totp)
    assert app.secret.encode() not in row.secret
    code = re.findall(r"<code>([0-9A-Z-]{29})</code>", answer.text)[0].replace("-", "")
    assert all(code.encode() not in row.code_hash for row in ada.rows(tables.recovery_code))


def test_the_session_gets_another_token_and_the_others_end_if_that_is_wished(ada: Person) -> None:
    other, window = ada.sign_in(), ada.sign_in()
    before = window.cookie(SESSION)
    app = begin(window)
    window.post(PAGE, {"code": app.now(), "end_others": "yes"})
    assert window.cookie(SESSION) not in (None, before)
    assert window.status() == 200
    assert other.status() == 401
    assert Window.open(ada.workspace).carry(SESSION, before).status() == 401


def test_a_second_app_waits_until_the_first_is_removed(ada: Person) -> None:
    window = ada.sign_in()
    enrol_app(ada)
    assert window.post(f"{PAGE}/begin", form="/settings/security").status_code == 409
    assert window.get(PAGE).location == "/settings/security"


def test_with_the_last_factor_the_recovery_codes_go_and_the_password_is_enough(ada: Person) -> None:
    window = ada.sign_in()
    enrol_app(ada)
    give_codes(ada)
    assert window.post(f"{PAGE}/remove", form="/settings/security").status_code == 303
    assert ada.rows(tables.totp) == ada.rows(tables.recovery_code) == []
    assert ada.mails()[-1].subject == "A way to sign in to Own was removed"
    assert ada.sign_in().status() == 200


def test_new_recovery_codes_end_the_old_ones(ada: Person) -> None:
    window = ada.sign_in()
    enrol_app(ada)
    old = give_codes(ada)
    before = window.cookie(SESSION)
    fresh = window.post("/settings/security/recovery-codes", form="/settings/security")
    assert window.cookie(SESSION) != before
    assert "ten new recovery codes" in ada.mails()[-1].body
    new = re.findall(r"<code>([0-9A-Z-]{29})</code>", fresh.text)
    assert len(new) == 10
    later = half_in(ada)
    assert give_code(later, old[0]).status_code == 401
    assert give_code(later, new[0]).location == "/"


def test_few_codes_left_is_said(ada: Person) -> None:
    window = ada.sign_in()
    enrol_app(ada)
    assert "You have 0 recovery codes left" in window.get("/settings/security").text
    give_codes(ada)
    assert "recovery codes left" not in window.get("/settings/security").text


def test_there_are_no_recovery_codes_without_a_factor(ada: Person) -> None:
    assert ada.sign_in().post("/settings/security/recovery-codes", form="/settings/security").status_code == 409


def test_an_admin_resets_the_factor_of_a_member_who_is_told(workspace: Workspace, ada: Person) -> None:
    theirs = ada.sign_in()
    enrol_app(ada)
    give_codes(ada)
    admin = workspace.join(Role.ADMIN).sign_in()
    assert "Reset the second factor" in admin.get(f"/members/{ada.id}").text
    assert admin.post(f"/members/{ada.id}/factors/reset", form="/members").status_code == 303
    assert ada.rows(tables.totp) == ada.rows(tables.recovery_code) == []
    assert theirs.status() == 401
    assert ada.mails()[-1].subject == "Your second factors in Own were removed"
    assert "Ada Lovelace" in ada.mails()[-1].body
    assert is_in(ada.sign_in())
    assert admin.post(f"/members/{ada.id}/factors/reset", form="/members").status_code == 409


def test_nobody_resets_their_own(workspace: Workspace) -> None:
    for role in (Role.OWNER, Role.ADMIN):
        person = workspace.join(role)
        window = person.sign_in()
        enrol_app(person)
        answer = window.post(f"/members/{person.id}/factors/reset", form="/members")
        assert answer.status_code == 409
        assert len(person.rows(tables.totp)) == 1


def test_an_admin_does_not_reset_an_owner_and_a_member_nobody(workspace: Workspace, ada: Person) -> None:
    owner = workspace.join(Role.OWNER)
    enrol_app(owner)
    for window in (workspace.join(Role.ADMIN).sign_in(), ada.sign_in()):
        assert window.post(f"/members/{owner.id}/factors/reset", form="/members").status_code == 403
    assert len(owner.rows(tables.totp)) == 1


def test_a_reset_is_in_the_audit_log(workspace: Workspace, ada: Person) -> None:
    owner = workspace.join(Role.OWNER)
    enrol_app(ada)
    owner.sign_in().post(f"/members/{ada.id}/factors/reset", form="/members")
    assert len(events(owner, "member.factors_reset")) == 1
