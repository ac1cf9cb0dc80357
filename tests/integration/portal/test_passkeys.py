"""Passkeys over the pages, with an authenticator made of software."""

import pytest
from account_holders import Person, Window, Workspace
from factor_holders import add_passkey, half_in, is_in, options, origin_of, passkey_row

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables


def test_a_passkey_is_the_second_factor_after_the_password(ada: Person) -> None:
    passkey = add_passkey(ada, ada.sign_in())
    window = half_in(ada)
    answer = passkey.sign(options(window, "/sign-in/second/passkey"), origin_of(ada), verified=False)
    assert window.post("/sign-in/second", {"credential": answer}, form="/sign-in").location == "/"
    assert is_in(window)
    assert ada.rows(tables.session)[-1].method == "passkey_second"
    assert ada.rows(tables.passkey)[0].sign_count == 1


def test_a_passkey_alone_signs_in_if_it_knows_the_person(ada: Person) -> None:
    passkey = add_passkey(ada, ada.sign_in())
    window = Window.open(ada.workspace)
    asked = options(window, "/sign-in/passkey/options")
    assert (asked["userVerification"], asked["allowCredentials"]) == ("required", [])
    answer = passkey.sign(asked, origin_of(ada))
    assert window.post("/sign-in/passkey", {"credential": answer, "next": "/expenses"}, form="/sign-in").location == (
        "/expenses"
    )
    assert is_in(window)
    assert ada.rows(tables.session)[-1].method == "passkey"


def test_the_relying_party_is_the_workspaces_own_host(ada: Person) -> None:
    asked = options(Window.open(ada.workspace), "/sign-in/passkey/options")
    assert asked["rpId"] == ada.workspace.host
    window = ada.sign_in()
    made = options(window, "/settings/security/passkeys/options", "/settings/security/passkeys/new")
    assert made["rp"] == {"id": ada.workspace.host, "name": "Own"}
    assert made["attestation"] == "none"


def test_several_are_told_apart_by_name_and_none_is_made_twice(ada: Person) -> None:
    window = ada.sign_in()
    first = add_passkey(ada, window)
    asked = options(window, "/settings/security/passkeys/options", "/settings/security/passkeys/new")
    assert len(asked["excludeCredentials"]) == 1
    form = {"credential": first.create(asked, origin_of(ada)), "name": "Again"}
    assert window.post("/settings/security/passkeys", form, form="/settings/security").status_code == 422
    add_passkey(ada, window)
    assert len(ada.rows(tables.passkey)) == 2


def test_a_name_is_changed_and_sealed(ada: Person) -> None:
    window = ada.sign_in()
    add_passkey(ada, window)
    path = f"/settings/security/passkeys/{passkey_row(ada)}"
    assert window.post(path, {"name": " Blue  key "}, form="/settings/security").status_code == 303
    assert "Blue key" in window.get("/settings/security").text
    assert b"Blue" not in ada.rows(tables.passkey)[0].name
    for name in ("", "x" * 61, "a\0b"):
        assert window.post(path, {"name": name}, form="/settings/security").status_code == 422


def test_a_removed_one_opens_nothing(ada: Person) -> None:
    window = ada.sign_in()
    passkey = add_passkey(ada, window)
    path = f"/settings/security/passkeys/{passkey_row(ada)}/remove"
    assert window.post(path, form="/settings/security").status_code == 303
    assert ada.mails()[-1].subject == "A way to sign in to Own was removed"
    stranger = Window.open(ada.workspace)
    answer = passkey.sign(options(stranger, "/sign-in/passkey/options"), origin_of(ada))
    assert stranger.post("/sign-in/passkey", {"credential": answer}, form="/sign-in").status_code == 401


def test_nobody_renames_or_removes_anothers(workspace: Workspace, ada: Person) -> None:
    add_passkey(ada, ada.sign_in())
    other, path = workspace.join(Role.OWNER).sign_in(), f"/settings/security/passkeys/{passkey_row(ada)}"
    assert other.post(path, {"name": "Mine"}, form="/settings/security").status_code == 404
    assert other.post(f"{path}/remove", form="/settings/security").status_code == 404
    assert len(ada.rows(tables.passkey)) == 1


@pytest.mark.parametrize("answer", ["", "{}", "[]", "null", "\0", '{"id": 1}', '{"id":"x","rawId":"x"}', "9" * 20_000])
def test_what_is_no_answer_of_a_passkey_is_refused(ada: Person, answer: str) -> None:
    window = ada.sign_in()
    form = {"credential": answer, "name": "x"}
    options(window, "/settings/security/passkeys/options", "/settings/security/passkeys/new")
    assert window.post("/settings/security/passkeys", form, form="/settings/security").status_code == 422
    stranger = Window.open(ada.workspace)
    options(stranger, "/sign-in/passkey/options")
    assert stranger.post("/sign-in/passkey", form, form="/sign-in").status_code == 401
