"""The life of a session: its ends on a frozen clock, a new token while requests are under way, cheap look-ups."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from account_holders import PRIVATE, SESSION, Person, Window, Workspace
from flask import Flask
from flask.typing import ResponseReturnValue
from sqlalchemy import event, update

from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import sessions
from strongroom.platform.web.app import create_app
from strongroom.platform.web.member import current
from strongroom.platform.web.permissions import Permission, requires
from strongroom.tenant_schema.tables import session

Portal = Any  # the fixture's class, in conftest.py
SECOND = timedelta(seconds=1)


class Clock(datetime):
    """A clock that stands still."""

    at = datetime(2030, 3, 1, 12, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.at.astimezone(tz)


@pytest.fixture(scope="module")
def app(portal: Portal) -> Flask:
    """The portal, with routes that step up, rotate, and say what a session has proved."""
    made = create_app(portal.platform)

    def step_up() -> ResponseReturnValue:
        sessions.step_up()
        return "", 204

    def rotate() -> ResponseReturnValue:
        sessions.rotate(end_others=True)
        return "", 204

    def proved() -> ResponseReturnValue:
        return "yes" if current().stepped_up_at else "no"

    for view in (step_up, rotate, proved):
        made.add_url_rule(f"/test/{view.__name__}", view.__name__, requires(Permission.USE)(view))
    return made


@pytest.fixture(scope="module")
def workspace(portal: Portal, app: Flask, tenant_factory: Callable[..., Tenant]) -> Workspace:
    return Workspace(portal.platform, app, tenant_factory(name="Own"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Generator[type[Clock]]:
    """The clock that sessions look at, standing still."""
    monkeypatch.setattr(sessions, "datetime", Clock)
    yield Clock
    Clock.at = datetime(2030, 3, 1, 12, tzinfo=UTC)


def thief(ada: Person, token: str | None) -> Window:
    return Window.open(ada.workspace).carry(SESSION, token)


def aged(ada: Person, **times: datetime) -> None:
    with ada.workspace.database() as conn:
        conn.execute(update(session).where(session.c.member_id == ada.id).values(**times))


@pytest.mark.parametrize(("late", "status"), [(-SECOND, 200), (timedelta(0), 401), (SECOND, 401)])
def test_a_session_ends_after_30_days_without_use(
    ada: Person, clock: type[Clock], late: timedelta, status: int
) -> None:
    window = ada.sign_in()
    aged(ada, created_at=clock.at, last_seen_at=clock.at)
    clock.at += timedelta(days=30) + late
    assert window.status() == status


@pytest.mark.parametrize(("late", "status"), [(-SECOND, 200), (timedelta(0), 401), (SECOND, 401)])
def test_a_session_ends_after_90_days_in_any_case(
    ada: Person, clock: type[Clock], late: timedelta, status: int
) -> None:
    window = ada.sign_in()
    clock.at += timedelta(days=90) + late
    aged(ada, created_at=clock.at - timedelta(days=90) - late, last_seen_at=clock.at - SECOND)
    assert window.status() == status


def test_a_new_token_does_not_make_a_session_younger(ada: Person, clock: type[Clock]) -> None:
    window = ada.sign_in()
    aged(ada, created_at=clock.at - timedelta(days=90) + SECOND, last_seen_at=clock.at)
    assert window.get("/test/step_up").status_code == 204
    clock.at += SECOND
    assert window.status() == 401


def test_use_keeps_a_session_and_is_written_once_a_minute(ada: Person, clock: type[Clock]) -> None:
    window = ada.sign_in()
    aged(ada, created_at=clock.at, last_seen_at=clock.at)
    seen = list[datetime]()
    for _ in range(4):
        clock.at += timedelta(seconds=30)
        assert window.status() == 200
        seen.append(ada.rows(session)[0].last_seen_at)
    assert len(set(seen)) == 3  # not, after a minute, not, after two


def test_a_page_looks_the_session_up_with_one_statement(ada: Person, workspace: Workspace) -> None:
    window, statements = ada.sign_in(), list[str]()
    window.get("/test/proved")
    with workspace.database() as conn:
        engine = conn.engine

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        assert window.get("/test/proved").status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len([one for one in statements if "app.session" in one]) == 1, statements


def test_a_step_up_gives_a_new_token_and_only_that_has_proved_it(ada: Person) -> None:
    window = ada.sign_in()
    old = window.cookie(SESSION)
    assert window.get("/test/step_up").status_code == 204
    assert window.cookie(SESSION) not in (None, old)
    assert window.get("/test/proved").text == "yes"
    assert thief(ada, old).get("/test/proved").text == "no"
    assert len(ada.rows(session)) == 1


def test_the_old_token_is_good_for_requests_under_way_and_not_after(ada: Person) -> None:
    window = ada.sign_in()
    old = window.cookie(SESSION)
    window.get("/test/step_up")
    assert thief(ada, old).status() == 200
    with ada.workspace.database() as conn:
        left = conn.execute(session.select().where(session.c.member_id == ada.id)).one().previous_until
        assert left - datetime.now(UTC) <= timedelta(seconds=10)
        conn.execute(update(session).where(session.c.member_id == ada.id).values(previous_until=datetime.now(UTC)))
    assert thief(ada, old).status() == 401
    assert window.status() == 200


def test_ending_the_session_ends_its_old_token_too(ada: Person) -> None:
    window = ada.sign_in()
    old = window.cookie(SESSION)
    window.get("/test/step_up")
    assert window.post("/sign-out", form="/settings/profile").status_code == 303
    assert thief(ada, old).status() == 401


def test_with_end_others_the_old_token_ends_at_once(ada: Person) -> None:
    window, other = ada.sign_in(), ada.sign_in()
    old = window.cookie(SESSION)
    assert window.get("/test/rotate").status_code == 204
    assert [window.status(), other.status(), thief(ada, old).status()] == [200, 401, 401]


def test_pages_that_ask_at_the_same_time_as_a_step_up_sign_nobody_out(ada: Person) -> None:
    """As a page of htmx does: all of these were sent with the token from before."""
    window = ada.sign_in()
    token, start = window.cookie(SESSION), Barrier(6)
    answers = list[tuple[int, str | None]]()

    def ask(path: str) -> None:
        own = thief(ada, token)
        start.wait()
        answer = own.get(path)
        answers.append((answer.status_code, own.cookie(SESSION)))

    paths = ["/test/step_up", "/test/step_up", "/test/proved", "/test/proved", "/test/proved", "/test/proved"]
    asking = [Thread(target=ask, args=(path,)) for path in paths]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert {status for status, _ in answers} == {200, 204}
    new = {kept for _, kept in answers} - {token}
    assert len(new) == 1  # one of the two gave the new token; the other left it to that
    assert thief(ada, new.pop()).get("/test/proved").text == "yes"


def test_a_session_that_began_in_one_process_ends_in_another_at_once(ada: Person, portal: Portal) -> None:
    here = ada.sign_in()
    token = here.cookie(SESSION)
    other_process = Workspace(portal.platform, portal.app, ada.workspace.tenant)
    there = Window.open(other_process, PRIVATE).carry(SESSION, token)
    assert there.status() == 200
    there.post("/sign-out", form="/settings/profile")
    assert here.status() == 401


def test_there_is_no_remember_cookie(ada: Person) -> None:
    window = Window.open(ada.workspace)
    answer = window.try_to_sign_in(ada.email)
    names = {one.split("=")[0] for one in answer.headers.getlist("Set-Cookie")}
    assert names == {"__Host-session", "__Host-device", "__Host-form"}
    assert "remember_token" not in str(answer.headers)
    planted = Window.open(ada.workspace)
    planted.client.set_cookie("remember_token", f"{ada.id}|anything", domain=ada.workspace.host, secure=True)
    assert planted.status() == 303
