"""The second half of a sign-in: no session before it, and what ends it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from account_holders import SESSION, Person, Window
from factor_holders import SECOND, enrol_app, events, give_code, give_codes, half_in, is_in
from sqlalchemy import update
from werkzeug.test import TestResponse

from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.queries import members, takeovers


def test_the_right_password_alone_begins_no_session(ada: Person) -> None:
    enrol_app(ada)
    window = half_in(ada)
    assert window.cookie(SESSION) is None
    assert window.get("/expenses").location == "/sign-in?next=/expenses"
    assert ada.rows(tables.session) == []


def test_the_cookie_of_a_half_done_sign_in_is_bound_to_host_https_and_site(ada: Person) -> None:
    enrol_app(ada)
    window = Window.open(ada.workspace)
    answer = window.try_to_sign_in(ada.email)
    cookie = next(one for one in answer.headers.getlist("Set-Cookie") if one.startswith(SECOND))
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict", "Max-Age=600"} <= set(cookie.split("; "))
    (row,) = ada.rows(tables.challenge)
    assert (window.cookie(SECOND) or "").encode() not in row.token_hash


def test_the_code_of_the_app_begins_it_and_leads_to_the_page_that_was_asked_for(ada: Person) -> None:
    app = enrol_app(ada)
    window = Window.open(ada.workspace)
    form = {"email": ada.email, "password": "correct horse battery", "next": "/expenses?q=taxi"}
    onward = window.post("/sign-in", form).location
    assert onward == "/sign-in/second?next=/expenses?q%3Dtaxi"
    answer = window.post("/sign-in/second", {"code": app.now(), "next": "/expenses?q=taxi"}, form="/sign-in")
    assert answer.location == "/expenses?q=taxi"
    assert is_in(window)
    assert window.cookie(SECOND) is None
    assert [row.method for row in ada.rows(tables.session)] == ["totp"]
    assert events(ada, "session.started")[-1]["method"] == "totp"


def test_a_recovery_code_begins_it_once_and_the_member_is_told(ada: Person) -> None:
    enrol_app(ada)
    codes = give_codes(ada)
    window = half_in(ada)
    assert give_code(window, codes[4].lower()).location == "/"
    assert is_in(window)
    assert "9 of 10 left" in window.get("/settings/security").text
    assert [mail.subject for mail in ada.mails()] == ["A recovery code was used in Own"]
    assert give_code(half_in(ada), codes[4]).status_code == 401


def test_a_wrong_code_is_refused_noted_and_told_once(ada: Person) -> None:
    enrol_app(ada)
    window = half_in(ada)
    first, second = give_code(window, "000000"), give_code(window, "")
    assert (first.status_code, second.status_code) == (401, 401)
    assert "That was not right" in first.text
    assert not is_in(window)
    assert events(ada, "second_factor.failed") == [{"try": 1}, {"try": 2}]
    assert [mail.subject for mail in ada.mails()] == ["Somebody knows your password for Own"]


def test_after_five_wrong_codes_the_right_one_comes_too_late(ada: Person) -> None:
    app = enrol_app(ada)
    window, answers = half_in(ada), list[TestResponse]()
    token = window.cookie(SECOND)
    for _ in range(5):
        ada.workspace.app.extensions["strongroom_limiter"].reset()
        answers.append(give_code(window, "000000"))
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 303]
    assert "too many codes were wrong" in window.get("/sign-in").text
    ada.workspace.app.extensions["strongroom_limiter"].reset()
    assert window.cookie(SECOND) is None
    assert give_code(window.carry(SECOND, token), app.now()).location == "/sign-in"
    assert not is_in(window)


def test_the_tries_of_a_member_are_limited_over_all_half_done_sign_ins(ada: Person) -> None:
    app = enrol_app(ada)
    windows = [half_in(ada) for _ in range(3)]
    statuses = [give_code(window, "000000").status_code for window in windows for _ in range(2)]
    assert statuses == [401] * 5 + [429]
    limited = give_code(windows[0], app.now())
    assert limited.status_code == 429
    assert int(limited.headers["Retry-After"]) > 0


def test_who_guesses_codes_of_the_app_keeps_no_recovery_code_out(ada: Person) -> None:
    enrol_app(ada)
    codes = give_codes(ada)
    windows = [half_in(ada) for _ in range(2)]
    assert [give_code(windows[at // 3], "000000").status_code for at in range(6)] == [401] * 5 + [429]
    assert give_code(half_in(ada), codes[0]).location == "/"
    assert give_code(half_in(ada), "A" * 24).status_code == 401


def test_a_not_me_in_the_same_moment_comes_before_the_sign_in_or_after_it(
    ada: Person, embedded_server: EmbeddedServer
) -> None:
    app, window = enrol_app(ada), half_in(ada)
    window.get("/sign-in")
    with ThreadPoolExecutor(1) as pool:
        with ada.workspace.database() as conn:
            members.hold(conn, ada.id)
            coming = pool.submit(give_code, window, app.now())
            await_waiter(embedded_server, ada.workspace.tenant.database)
            takeovers.end_challenges(conn, ada.id)
        assert coming.result().location == "/sign-in"
    assert not is_in(window)


def await_waiter(server: EmbeddedServer, database: str) -> None:
    """Until a session in this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    with server.connect_admin() as admin:
        while admin.execute(waiting, (database,)).fetchone() == (0,):
            time.sleep(0.01)


def test_a_half_done_sign_in_ends_after_ten_minutes(ada: Person) -> None:
    app = enrol_app(ada)
    in_time, late = half_in(ada), half_in(ada)
    early_row, late_row = ada.rows(tables.challenge)
    second, now = timedelta(seconds=1), datetime.now(UTC)
    assert early_row.expires_at - early_row.created_at <= timedelta(minutes=10) + second
    with ada.workspace.database() as conn:
        for row, until in ((early_row, now + 30 * second), (late_row, now - second)):
            conn.execute(update(tables.challenge).where(tables.challenge.c.id == row.id).values(expires_at=until))
    assert give_code(late, app.now()).location == "/sign-in"
    assert give_code(in_time, app.now()).location == "/"


def test_a_member_who_is_removed_meanwhile_does_not_come_in(ada: Person) -> None:
    app = enrol_app(ada)
    window = half_in(ada)
    with ada.workspace.database() as conn:
        members.set_state(conn, ada.id, "removed")
    assert give_code(window, app.now()).location == "/sign-in"
    assert not is_in(window)


def test_a_changed_password_ends_what_the_old_one_has_half_done(ada: Person) -> None:
    mine = ada.sign_in()
    app = enrol_app(ada)
    thief = half_in(ada)
    new = {"old_password": "correct horse battery", "password": "staple of a quiet harbour"}
    assert mine.post("/settings/password", new, form="/settings/profile").status_code == 303
    assert give_code(thief, app.now()).location == "/sign-in"
    assert not is_in(thief)


def test_without_a_half_done_sign_in_there_is_no_second_half(ada: Person) -> None:
    app = enrol_app(ada)
    window = Window.open(ada.workspace)
    assert window.get("/sign-in/second").location == "/sign-in"
    assert give_code(window, app.now()).location == "/sign-in"
    assert window.post("/sign-in/second/passkey", form="/sign-in").status_code == 401


def test_a_password_is_enough_without_a_second_factor_and_with_one_that_was_never_confirmed(ada: Person) -> None:
    window = ada.sign_in()
    window.post("/settings/security/app/begin", form="/settings/security")
    assert ada.sign_in().status() == 200
