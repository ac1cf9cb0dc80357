"""A password is nowhere but in the form that it was typed into: in no log, mail, error page, database or file."""

import logging
from pathlib import Path
from typing import Any

import pytest
from recovery_mail import asked_link

from strongroom.platform.portal.access import service
from strongroom.platform.web.permissions import Role

Portal = Any  # the class of the fixture, account_holders.Portal
W = "cedar"
CANARY = "zanzibar-canary-horologist-42"


def test_the_canary_is_nowhere(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = [*typed_everywhere(portal), *typed_into_what_breaks(portal, monkeypatch)]
    assert all(CANARY not in page for page in said)
    assert CANARY not in caplog.text
    settings = portal.platform.settings
    roots = (settings.home, settings.backup_root)
    files = [path for root in roots for path in root.rglob("*") if path.is_file() and not path.is_socket()]
    assert any(path.suffix == ".eml" for path in files)
    assert not [str(path) for path in files if CANARY.encode() in content(path)]


def typed_everywhere(portal: Portal) -> list[str]:
    email, browser = portal.email(Role.CONTRIBUTOR), portal.client(W)
    said = [browser.sign_in(email, CANARY).text, browser.sign_in(CANARY, CANARY).headers["Content-Type"]]
    path = asked_link(portal, browser, email)
    said.append(browser.post(path, {"password": CANARY}, form=path).text)
    assert browser.sign_in(email, CANARY).status_code == 303
    change = {"old_password": CANARY, "password": CANARY * 40}
    said.append(browser.post("/settings/password", change, form="/settings/profile").text)
    back = {"old_password": CANARY, "password": portal.password}
    said.append(browser.post("/settings/password", back, form="/settings/profile").text)
    owner = portal.signed_in(Role.OWNER, W)
    invited = {"email": "canary@x.example", "role": "member"}
    link = owner.post("/members/invite", invited, form="/members/invite").text.partition("/invitation/")[2][:43]
    guest, page = portal.client(W), f"/invitation/{link}"
    said.append(guest.post(page, {"name": "", "password": CANARY}, form=page).text)
    said.append(guest.post(page, {"name": "Canary", "password": CANARY}, form=page).text)
    return said


def typed_into_what_breaks(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    def broken(email: str, password: str) -> None:
        raise RuntimeError("something else")

    def refused_by_the_database(email: str, password: str) -> None:
        with portal.database(W) as conn:
            conn.exec_driver_sql("SELECT 1 / 0 + length(%s::text)", (password,))

    said: list[str] = []
    for failing in (broken, refused_by_the_database):
        with monkeypatch.context() as patched:
            patched.setattr(service, "check_credentials", failing)
            answer = portal.client(W).sign_in(portal.email(Role.MEMBER), CANARY)
        assert answer.status_code == 500
        said.append(answer.text)
    return said


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # of the database server, meanwhile
        return b""
