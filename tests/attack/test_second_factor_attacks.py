"""Attacks on second factors: replay, races, planted cookies, foreign passkeys, and the ways around."""

import json
from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from account_holders import SESSION, Person, Window, Workspace
from factor_holders import (
    CEREMONY,
    SECOND,
    Clock,
    SoftPasskey,
    add_passkey,
    enrol_app,
    give_code,
    give_codes,
    half_in,
    is_in,
    options,
    origin_of,
)
from flask import Flask
from sqlalchemy import update

from strongroom.platform.control.platform import Platform
from strongroom.platform.portal.access import links
from strongroom.platform.portal.proving import routes
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.app import create_app
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.queries import factors, members, passkeys

AT_ONCE = 8
NEW = "marmalade under seven bridges"


@pytest.fixture(scope="module")
def app(platform: Platform) -> Flask:
    return create_app(platform)


@pytest.fixture(scope="module")
def workspace(platform: Platform, app: Flask, tenant_factory: Callable[..., Tenant]) -> Workspace:
    return Workspace(platform, app, tenant_factory(name="Own"))


@pytest.fixture
def ada(workspace: Workspace) -> Person:
    return workspace.join()


def at_once(windows: list[Window], send: Callable[[Window], Any]) -> list[Any]:
    """Send from all browsers at the same moment; what each was answered."""
    start, answers = Barrier(len(windows)), list[Any]()

    def run(window: Window) -> None:
        start.wait()
        answers.append(send(window))

    threads = [Thread(target=run, args=(window,)) for window in windows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the counters stop nobody, so that what is behind them has to."""
    monkeypatch.setattr("strongroom.platform.web.limits.hit", lambda *_: None)


def test_a_code_then_the_next_then_the_first_again(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    app = enrol_app(ada)
    monkeypatch.setattr(routes, "datetime", Clock)
    monkeypatch.setattr("strongroom.platform.portal.proving.pending.datetime", Clock)
    first, second = app.at(Clock.at), app.at(Clock.at + timedelta(seconds=30))
    assert give_code(half_in(ada), first).location == "/"
    assert give_code(half_in(ada), second).location == "/"
    for used in (first, second):
        assert give_code(half_in(ada), used).status_code == 401
    monkeypatch.setattr(Clock, "at", Clock.at + timedelta(seconds=60))
    assert give_code(half_in(ada), app.at(Clock.at)).location == "/"


def test_the_same_code_from_many_browsers_at_once_opens_one(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited(monkeypatch)
    app = enrol_app(ada)
    windows, code = [half_in(ada) for _ in range(AT_ONCE)], app.now()
    statuses = sorted(answer.status_code for answer in at_once(windows, lambda window: give_code(window, code)))
    assert statuses == [303] + [401] * (AT_ONCE - 1)
    assert sum(is_in(window) for window in windows) == 1


def test_a_recovery_code_from_many_browsers_at_once_opens_one(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited(monkeypatch)
    enrol_app(ada)
    code = give_codes(ada)[0]
    windows = [half_in(ada) for _ in range(AT_ONCE)]
    at_once(windows, lambda window: give_code(window, code))
    assert sum(is_in(window) for window in windows) == 1
    with ada.workspace.database() as conn:
        assert factors.codes_left(conn, ada.id) == 9


def test_many_codes_at_once_are_five_tries(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited(monkeypatch)
    enrol_app(ada)
    window = half_in(ada)
    same = [Window(ada.workspace, ada.workspace.app.test_client(), "10.0.0.9") for _ in range(12)]
    for copy in same:
        copy.carry(SECOND, window.cookie(SECOND))
    at_once(same, lambda copy: give_code(copy, "000000"))
    (row,) = ada.rows(tables.challenge)
    assert row.failures == 5


def test_a_planted_half_done_sign_in_is_never_taken_over(ada: Person, workspace: Workspace) -> None:
    mallory = workspace.join()
    app = enrol_app(ada)
    enrol_app(mallory)
    planted = half_in(mallory).cookie(SECOND)
    victim = Window.open(workspace).carry(SECOND, planted)
    victim.try_to_sign_in(ada.email)
    assert victim.cookie(SECOND) not in (None, planted)
    assert give_code(victim, app.now()).location == "/"
    assert [row.method for row in mallory.rows(tables.session)] == []
    thief = Window.open(workspace).carry(SECOND, planted)
    assert give_code(thief, app.now()).status_code != 303  # another's code is no answer to it


def test_a_half_done_sign_in_that_was_finished_cannot_be_finished_again(ada: Person) -> None:
    app, window = enrol_app(ada), half_in(ada)
    codes, token = give_codes(ada), window.cookie(SECOND)
    assert give_code(window, app.now()).location == "/"
    thief = Window.open(ada.workspace).carry(SECOND, token)
    assert give_code(thief, codes[0]).location == "/sign-in"
    assert not is_in(thief)


def test_a_half_done_sign_in_is_no_session_and_opens_no_other_page(ada: Person) -> None:
    enrol_app(ada)
    token = half_in(ada).cookie(SECOND)
    thief = Window.open(ada.workspace).carry(SECOND, token).carry(SESSION, token)
    assert thief.status() == 401


def test_a_half_done_sign_in_of_one_workspace_is_nothing_in_another(
    ada: Person, platform: Platform, app: Flask, tenant_factory: Callable[..., Tenant]
) -> None:
    code = enrol_app(ada).now()
    other = Window.open(Workspace(platform, app, tenant_factory(name="Other")))
    other.carry(SECOND, half_in(ada).cookie(SECOND))
    assert give_code(other, code).location == "/sign-in"


def test_a_recovery_code_of_another_member_opens_nothing(ada: Person, workspace: Workspace) -> None:
    mallory = workspace.join()
    enrol_app(ada)
    enrol_app(mallory)
    codes = give_codes(mallory)
    assert give_code(half_in(ada), codes[0]).status_code == 401
    with workspace.database() as conn:
        assert factors.codes_left(conn, mallory.id) == 10


def test_who_was_removed_and_is_invited_again_still_needs_the_second_factor(ada: Person, workspace: Workspace) -> None:
    enrol_app(ada)
    with workspace.database() as conn:
        members.set_state(conn, ada.id, "removed")
    owner = workspace.join(Role.OWNER).sign_in()
    page = owner.post("/members/invite", {"email": ada.email, "role": "member"}, form="/members/invite").text
    link = page.partition("/invitation/")[2][:43]
    window = Window.open(workspace)
    form = {"name": "Ada", "password": NEW}
    assert window.post(f"/invitation/{link}", form).location == "/sign-in/second"
    assert not is_in(window)


def test_a_new_password_by_mail_leaves_the_second_factor_in_force(ada: Person) -> None:
    app, pending = enrol_app(ada), half_in(ada)
    with ada.workspace.database() as conn:
        token = links.make(conn, ada.id, links.RESET, timedelta(minutes=30))
    window = Window.open(ada.workspace)
    assert window.post(f"/reset/{token}", {"password": NEW}).location == "/sign-in"
    assert window.try_to_sign_in(ada.email, NEW).location == "/sign-in/second"
    assert not is_in(window)
    assert give_code(pending, app.now()).location == "/sign-in"  # what the old password had half done
    assert give_code(window, app.now()).location == "/"


# Passkeys.


def sign_in_with(window: Window, answer: str) -> int:
    return window.post("/sign-in/passkey", {"credential": answer}, form="/sign-in").status_code


def asked(window: Window) -> dict[str, Any]:
    return options(window, "/sign-in/passkey/options")


def test_an_answer_of_a_passkey_counts_once(ada: Person) -> None:
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    answer, token = passkey.sign(asked(window), origin_of(ada)), window.cookie(CEREMONY)
    assert sign_in_with(window, answer) == 303
    assert sign_in_with(Window.open(ada.workspace).carry(CEREMONY, token), answer) == 401


def test_a_wrong_answer_burns_the_challenge(ada: Person) -> None:
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    right = passkey.sign(asked(window), origin_of(ada))
    assert sign_in_with(window, "{}") == 401
    assert sign_in_with(window, right) == 401


def test_an_answer_from_another_browser_is_none(ada: Person) -> None:
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    stolen = passkey.sign(asked(window), origin_of(ada))
    thief = Window.open(ada.workspace)
    asked(thief)
    assert sign_in_with(thief, stolen) == 401
    assert sign_in_with(Window.open(ada.workspace), stolen) == 401


def test_an_answer_for_one_purpose_is_none_for_another(ada: Person) -> None:
    mine = ada.sign_in()
    passkey = add_passkey(ada, mine)
    window = half_in(ada)
    answer = passkey.sign(options(window, "/sign-in/second/passkey"), origin_of(ada))
    assert sign_in_with(window, answer) == 401
    answer = passkey.sign(options(mine, "/step-up/passkey", "/step-up"), origin_of(ada))
    thief = half_in(ada).carry(CEREMONY, mine.cookie(CEREMONY))
    assert thief.post("/sign-in/second", {"credential": answer}, form="/sign-in").status_code == 401


def test_an_answer_that_comes_too_late_is_none(ada: Person) -> None:
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    answer = passkey.sign(asked(window), origin_of(ada))
    with ada.workspace.database() as conn:
        table = tables.challenge
        conn.execute(update(table).values(expires_at=table.c.created_at - timedelta(seconds=1)))
    assert sign_in_with(window, answer) == 401


@pytest.mark.parametrize(
    "origin", ["http://{host}:{port}", "https://{host}:1", "https://{host}", "https://evil.example"]
)
def test_an_answer_given_to_another_page_is_none(ada: Person, origin: str) -> None:
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    port = ada.workspace.platform.settings.https_port
    spoken = origin.format(host=ada.workspace.host, port=port)
    assert spoken != origin_of(ada)
    assert sign_in_with(window, passkey.sign(asked(window), spoken)) == 401


def test_an_authenticator_that_does_not_know_the_person_does_not_sign_in_alone(ada: Person) -> None:
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    assert sign_in_with(window, passkey.sign(asked(window), origin_of(ada), verified=False)) == 401


def test_a_counter_that_has_not_risen_gives_a_copy_away(ada: Person) -> None:
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    passkey.count = 7
    assert sign_in_with(window, passkey.sign(asked(window), origin_of(ada))) == 303
    for count in (3, 7):  # the next that it signs with is one more, or the same
        passkey.count = count
        again = Window.open(ada.workspace)
        assert sign_in_with(again, passkey.sign(asked(again), origin_of(ada), counts=count == 3)) == 401


def test_an_answer_to_two_at_once_opens_one(ada: Person) -> None:
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    answer = passkey.sign(asked(window), origin_of(ada))
    windows = [Window.open(ada.workspace).carry(CEREMONY, window.cookie(CEREMONY)) for _ in range(AT_ONCE)]
    assert sorted(at_once(windows, lambda one: sign_in_with(one, answer))) == [303] + [401] * (AT_ONCE - 1)


def test_a_passkey_of_another_member_is_no_second_factor(ada: Person, workspace: Workspace) -> None:
    mallory = workspace.join()
    theirs = add_passkey(mallory, mallory.sign_in())
    add_passkey(ada, ada.sign_in())
    for handle in (theirs.handle, ada.id.bytes, b""):
        theirs.handle = handle
        window = half_in(ada)
        answer = theirs.sign(options(window, "/sign-in/second/passkey"), origin_of(ada))
        assert window.post("/sign-in/second", {"credential": answer}, form="/sign-in").status_code == 401


def test_a_passkey_that_says_it_is_somebody_elses_opens_nothing(ada: Person, workspace: Workspace) -> None:
    mallory = workspace.join(Role.OWNER)
    passkey, window = add_passkey(ada, ada.sign_in()), Window.open(workspace)
    for handle in (mallory.id.bytes, b""):
        passkey.handle = handle
        assert sign_in_with(window, passkey.sign(asked(window), origin_of(ada))) == 401


def test_a_passkey_of_another_workspace_opens_nothing_even_under_the_same_id(
    ada: Person, platform: Platform, app: Flask, tenant_factory: Callable[..., Tenant]
) -> None:
    other = Workspace(platform, app, tenant_factory(name="Other"))
    mallory = other.join()
    theirs, window = add_passkey(mallory, mallory.sign_in()), Window.open(ada.workspace)
    assert sign_in_with(window, theirs.sign(asked(window), origin_of(ada))) == 401
    with ada.workspace.database() as conn, other.database() as elsewhere:  # the key itself, carried over
        (row,) = passkeys.of_member(elsewhere, mallory.id)
        copied = {"id": row.id, "member_id": ada.id, "credential_id": row.credential_id, "name": row.name}
        passkeys.add(conn, copied | {"public_key": row.public_key})
    theirs.handle = ada.id.bytes
    wrong_site = asked(window) | {"rpId": other.host}
    assert sign_in_with(window, theirs.sign(wrong_site, origin_of(mallory))) == 401
    assert sign_in_with(window, theirs.sign(asked(window) | {"rpId": other.host}, origin_of(ada))) == 401


def test_a_signature_by_another_key_is_none(ada: Person) -> None:
    real, window = add_passkey(ada, ada.sign_in()), Window.open(ada.workspace)
    forged = SoftPasskey(credential=real.credential, handle=real.handle, count=9)
    assert sign_in_with(window, forged.sign(asked(window), origin_of(ada))) == 401


def test_a_passkey_is_not_added_to_somebody_elses_account(ada: Person, workspace: Workspace) -> None:
    mallory, page = workspace.join(), "/settings/security/passkeys/new"
    mine, theirs = ada.sign_in(), mallory.sign_in()
    passkey = SoftPasskey()
    answer = passkey.create(options(theirs, "/settings/security/passkeys/options", page), origin_of(ada))
    mine.carry(CEREMONY, theirs.cookie(CEREMONY))
    form = {"credential": answer, "name": "Mine"}
    assert mine.post("/settings/security/passkeys", form, form=page).status_code == 422
    assert ada.rows(tables.passkey) == mallory.rows(tables.passkey) == []


def test_the_answer_says_nothing_of_who_has_passkeys(ada: Person) -> None:
    add_passkey(ada, ada.sign_in())
    said = [json.dumps(asked(Window.open(ada.workspace)) | {"challenge": ""}) for _ in range(2)]
    assert len(set(said)) == 1
