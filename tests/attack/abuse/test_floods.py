"""A flood of sign-ins takes neither the threads nor the counters from the pages."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import bcrypt
import pytest
from work_done import counted

from strongroom.platform.keys import passwords
from strongroom.platform.web.permissions import Role

Portal = Any  # the class of the fixture, account_holders.Portal
W = "rowan"


def test_pages_answer_while_sign_ins_hold_every_place_and_the_next_one_is_sent_away(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = portal.signed_in(Role.OWNER, W)
    flood = [portal.client(W) for _ in range(portal.platform.settings.web_threads)]
    forms = [
        {"email": f"{n}@x.example", "password": "x", "csrf_token": one.token("/sign-in")} for n, one in enumerate(flood)
    ]
    go_on, real = Event(), bcrypt.hashpw

    def held(secret: bytes, salt: bytes) -> bytes:
        assert go_on.wait(250)
        return real(secret, salt)

    monkeypatch.setattr(bcrypt, "hashpw", held)
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 300.0)  # nobody is sent away for having waited
    room = portal.platform.settings.web_threads - 1
    with ThreadPoolExecutor(room) as pool:
        waiting = [pool.submit(one.post_bare, "/sign-in", form) for one, form in zip(flood[:room], forms, strict=False)]
        try:
            while passwords.room.inside < room:
                assert not any(one.done() for one in waiting)
            refused = flood[room].post_bare("/sign-in", forms[room])
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert "try again" in refused.text
            assert owner.get("/").status_code == 200
            assert flood[room].get("/sign-in").status_code == 200
        finally:
            go_on.set()
        assert [one.result().status_code for one in waiting] == [401] * room
    assert passwords.room.inside == 0


def test_no_ordinary_page_touches_the_counters(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = portal.signed_in(Role.OWNER, W)
    with counted(monkeypatch) as work:
        for path in ("/", "/expenses", "/reports", "/members", "/settings/profile"):
            owner.get(path)
        portal_page = owner.get("/sign-in")
    assert portal_page.status_code in (200, 303)
    assert not [text for text in work.statements if "rate_limit" in text]
    assert work.statements  # the search itself works


def test_no_counter_tells_whose_tries_it_counts(portal: Portal) -> None:
    portal.client(W).sign_in(portal.email(Role.MEMBER), "a wrong password")
    with portal.platform.control.connect() as conn:
        keys = list(conn.exec_driver_sql("SELECT key FROM rate_limit").scalars())
    assert keys
    assert not [key for key in keys if "127.0.0.1" in key or "@" in key or portal.workspaces[W].id in key]
