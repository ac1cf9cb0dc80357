"""What matters most asks once more who it is, and loses nothing that was typed meanwhile."""

import re
from datetime import timedelta
from typing import Any

import pytest
from account_holders import PASSWORD, SESSION, Person, Window, Workspace
from factor_holders import CEREMONY, Clock, add_passkey, enrol_app, events, give_codes, grow_old, options, origin_of
from werkzeug.test import TestResponse

from strongroom.platform.web import stepup
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.queries import members

Portal = Any  # the fixture's class, in conftest.py
MATTERS = {  # routes that ask; a new one that belongs here goes into this list
    *("factors.begin_app", "factors.app", "factors.confirm_app", "factors.remove_app", "factors.make_codes"),
    *("factors.new_passkey", "factors.passkey_options", "factors.add_passkey", "factors.remove_passkey"),
    *("factors.reset", "members.save", "members.invitations.send", "members.invitations.resend"),
    *("members.transfer.start", "members.transfer.accept", "tokens.new", "tokens.make"),
    *("webhooks.new", "webhooks.add", "webhooks.save", "webhooks.rotate", "cards.start", "cards.rotate"),
}
HOUR = timedelta(hours=1)
FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@pytest.fixture
def olga(workspace: Workspace) -> Person:
    return workspace.join(Role.OWNER)


def stale(person: Person, by: timedelta = HOUR) -> Window:
    """A browser in which the member signed in some time ago."""
    window = person.sign_in()
    grow_old(person, by)
    return window


def prove(window: Window, **fields: str) -> TestResponse:
    return window.post("/step-up", fields, form="/step-up")


def test_the_routes_that_matter_most_ask(portal: Portal) -> None:
    views = portal.app.view_functions
    assert {endpoint for endpoint, view in views.items() if getattr(view, stepup.FRESH, False)} >= MATTERS


def test_ten_minutes_after_the_sign_in_it_asks(olga: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    window, second = olga.sign_in(), timedelta(seconds=1)
    (row,) = olga.rows(tables.session)
    monkeypatch.setattr(stepup, "datetime", Clock)
    monkeypatch.setattr(Clock, "at", row.created_at + timedelta(minutes=10))
    assert window.get("/settings/security/passkeys/new").status_code == 200
    monkeypatch.setattr(Clock, "at", row.created_at + timedelta(minutes=10) + second)
    assert window.get("/settings/security/passkeys/new").location == ("/step-up?next=/settings/security/passkeys/new")


def test_the_password_leads_on_and_counts_from_then(olga: Person) -> None:
    window = stale(olga)
    before = window.cookie(SESSION)
    assert prove(window, password=PASSWORD, next="/settings/security/passkeys/new").location == (
        "/settings/security/passkeys/new"
    )
    assert window.cookie(SESSION) not in (None, before)
    assert window.get("/settings/security/passkeys/new").status_code == 200
    assert len(events(olga, "session.stepped_up")) == 1


def test_a_wrong_password_leads_nowhere(olga: Person) -> None:
    window = stale(olga)
    answer = prove(window, password="not the password", next="/settings/security/passkeys/new")
    assert answer.status_code == 401
    assert "That was not right" in answer.text
    assert window.get("/settings/security/passkeys/new").status_code == 303
    assert len(events(olga, "session.step_up_failed")) == 1


def test_the_tries_are_limited(olga: Person) -> None:
    window = stale(olga)
    statuses = [prove(window, password="not the password").status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert prove(window, password=PASSWORD).status_code == 429


def test_who_has_a_second_factor_is_asked_for_it_too(olga: Person) -> None:
    app, window = enrol_app(olga), Window.open(olga.workspace)
    codes = give_codes(olga)
    window.try_to_sign_in(olga.email)
    code = app.now()
    window.post("/sign-in/second", {"code": code}, form="/sign-in")
    grow_old(olga, HOUR)
    assert prove(window, password=PASSWORD).status_code == 401
    assert prove(window, password=PASSWORD, code=code).status_code == 401  # was used to sign in
    assert prove(window, code=codes[0]).status_code == 401
    assert prove(window, password=PASSWORD, code=codes[0]).status_code == 303
    assert window.get("/settings/security/passkeys/new").status_code == 200


def test_a_passkey_that_knows_the_person_is_enough(olga: Person) -> None:
    window = olga.sign_in()
    passkey = add_passkey(olga, window)
    grow_old(olga, HOUR)
    asked = options(window, "/step-up/passkey", "/step-up")
    unsure = passkey.sign(asked, origin_of(olga), verified=False)
    assert prove(window, credential=unsure).status_code == 401
    asked = options(window, "/step-up/passkey", "/step-up")
    assert prove(window, credential=passkey.sign(asked, origin_of(olga))).status_code == 303


def test_a_form_that_came_too_late_is_kept_and_sent_afterwards(workspace: Workspace, olga: Person) -> None:
    ada, window = workspace.join(), stale(olga)
    late = window.post(f"/members/{ada.id}", {"role": "admin", "password": "a secret"}, form="/members")
    assert late.status_code == 303
    assert late.location.startswith("/step-up?kept=")
    kept = late.location.partition("=")[2]
    assert "What you typed is kept" in window.get(late.location).text
    answer = prove(window, password=PASSWORD, kept=kept)
    assert answer.location == f"/step-up/form?kept={kept}"
    page = window.get(answer.location).text
    fields = dict(FIELD.findall(page))
    assert f'action="/members/{ada.id}"' in page
    assert {name: value for name, value in fields.items() if name != "csrf_token"} == {"role": "admin"}
    assert window.post(f"/members/{ada.id}", {"role": fields["role"]}, form="/members").status_code == 303
    with workspace.database() as conn:
        assert members.by_id(conn, ada.id).role == "admin"


def test_a_kept_form_is_sealed_and_shown_to_nobody_else(workspace: Workspace, olga: Person) -> None:
    ada, window = workspace.join(), stale(olga)
    kept = window.post(f"/members/{ada.id}", {"role": "admin"}, form="/members").location
    assert b"admin" not in olga.rows(tables.challenge)[-1].content
    other = workspace.join(Role.OWNER).sign_in()
    assert other.get(kept.replace("/step-up?", "/step-up/form?")).location == "/"


def test_a_form_with_a_file_or_too_much_is_not_kept(olga: Person) -> None:
    window = stale(olga)
    answer = window.post("/members/invite", {"email": "x" * 40_000, "role": "member"}, form="/members/invite")
    assert answer.location == "/step-up?next=/"


def test_a_part_of_a_page_is_led_there_as_a_whole(olga: Person) -> None:
    window = stale(olga)
    headers = {"HX-Request": "true", "HX-Current-URL": f"{window.base}/settings/security?a=b"}
    answer = window.get("/settings/security/passkeys/new", **headers)
    assert answer.headers["HX-Redirect"] == "/step-up?next=/settings/security?a%3Db"


@pytest.mark.parametrize("onward", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:1"])
def test_it_leads_to_no_other_site(olga: Person, onward: str) -> None:
    window = stale(olga)
    assert prove(window, password=PASSWORD, next=onward).location == "/"
    assert "evil" not in window.get("/step-up", Referer=onward).text


def test_the_challenge_of_a_passkey_is_no_kept_form(olga: Person) -> None:
    window = olga.sign_in()
    options(window, "/step-up/passkey", "/step-up")
    assert window.get(f"/step-up/form?kept={window.cookie(CEREMONY)}").location == "/"
