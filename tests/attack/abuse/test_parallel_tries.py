"""Many tries at once, at two web processes: never more than the limit gets through, and no link works twice."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier
from typing import Any

import bcrypt
import pytest
from flask import Flask
from hashing import let_all_hash
from recovery_mail import asked_link
from werkzeug.test import TestResponse

from strongroom.platform.control.platform import open_platform
from strongroom.platform.portal.access.tries import PER_ADDRESS
from strongroom.platform.web.app import create_app
from strongroom.platform.web.permissions import Role

Portal = Any  # the class of the fixture, account_holders.Portal
W = "linden"
NEW = "marmalade under seven bridges"


@pytest.fixture(scope="module")
def two(portal: Portal) -> Generator[list[Flask]]:
    """Two web processes' worth: each has connections, pools, caches and memory of its own."""
    settings = replace(portal.platform.settings, checkout_timeout=60.0)  # nobody is sent away for a busy machine
    with open_platform(settings, "web") as one, open_platform(settings, "web") as other:
        yield [create_app(one), create_app(other)]


@dataclass
class Crowd:
    """Browsers, each with a form open, every other one at the other process, each from an address of its own."""

    portal: Portal
    apps: list[Flask]

    def at_once(self, count: int, path: str, data: dict[str, str], form: str, address: str) -> list[TestResponse]:
        """Send the form `count` times at the same moment; `address` may have a place for a number."""
        ready = [self._prepared(number, path, data, form, address) for number in range(count)]
        together = Barrier(count)

        def send(go: Callable[[], TestResponse]) -> TestResponse:
            together.wait()
            return go()

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(send, ready))

    def _prepared(
        self, number: int, path: str, data: dict[str, str], form: str, address: str
    ) -> Callable[[], TestResponse]:
        browser = self.portal.client(W)
        browser.client = self.apps[number % 2].test_client()
        browser.client.environ_base["REMOTE_ADDR"] = address.format(number + 1)
        filled = data | {"csrf_token": browser.token(form)}
        return lambda: browser.post_bare(path, filled)


@pytest.fixture
def crowd(portal: Portal, two: list[Flask]) -> Crowd:
    return Crowd(portal, two)


def test_of_sixty_tries_at_one_account_five_are_looked_at(
    portal: Portal, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, real = [], bcrypt.hashpw
    monkeypatch.setattr(bcrypt, "hashpw", lambda secret, salt: hashed.append(1) or real(secret, salt))
    let_all_hash(monkeypatch)  # who finds no place to hash has not tried, and somebody else may
    wrong = {"email": portal.email(Role.OWNER), "password": "a wrong password"}
    codes = [one.status_code for one in crowd.at_once(60, "/sign-in", wrong, "/sign-in", "198.51.100.{}")]
    assert codes.count(429) == 55
    assert set(codes) == {401, 429}
    assert len(hashed) == 5


def test_of_sixty_tries_from_one_address_as_many_as_its_limit(portal: Portal, crowd: Crowd) -> None:
    tries = [{"email": f"{number}@people.example", "password": "a wrong password"} for number in range(60)]
    together = Barrier(20)
    browsers = [portal.client(W) for _ in range(20)]
    for number, browser in enumerate(browsers):
        browser.client = crowd.apps[number % 2].test_client()
        browser.client.environ_base["REMOTE_ADDR"] = f"2001:db8:1:2::{number:x}"  # one /64 network

    def send(number: int) -> list[int]:
        browser, token = browsers[number], browsers[number].token("/sign-in")
        together.wait()
        mine = tries[number::20]
        return [browser.post_bare("/sign-in", one | {"csrf_token": token}).status_code for one in mine]

    with ThreadPoolExecutor(20) as pool:
        codes = [code for found in pool.map(send, range(20)) for code in found]
    assert codes.count(429) == 60 - int(PER_ADDRESS.split()[0])


def test_the_right_password_at_one_process_opens_the_account_at_both(portal: Portal, two: list[Flask]) -> None:
    one, other = portal.client(W), portal.client(W)
    one.client, other.client = (app.test_client() for app in two)
    for _ in range(4):
        one.sign_in(portal.email(Role.ADMIN), "a wrong password")
    assert other.sign_in(portal.email(Role.ADMIN)).status_code == 303
    codes = [one.sign_in(portal.email(Role.ADMIN), "a wrong password").status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    assert portal.client("maple").sign_in(portal.email(Role.ADMIN)).status_code == 303  # another workspace's


def test_a_reset_link_posted_many_times_at_once_works_once(portal: Portal, crowd: Crowd) -> None:
    path = asked_link(portal, portal.client(W), portal.email(Role.CONTRIBUTOR))
    answers = crowd.at_once(6, path, {"password": NEW}, path, "198.51.100.{}")
    codes = [one.status_code for one in answers]
    assert codes.count(303) == 1
    assert set(codes) <= {303, 410, 503}


def test_a_link_of_one_workspace_opens_nothing_in_another(portal: Portal) -> None:
    path = asked_link(portal, portal.client(W), portal.email(Role.CONTRIBUTOR))
    elsewhere = portal.client("maple")
    assert elsewhere.get(path).status_code == 410
    assert elsewhere.post(path, {"password": NEW}).status_code == 410
    assert portal.client(W).get(path).status_code == 200


def test_what_a_storage_that_is_down_counts_is_counted_by_each_process(
    portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(portal.platform.settings, rate_limit_storage="redis://127.0.0.1:1")
    with open_platform(settings, "web") as alone:
        browser = portal.client(W)
        browser.client = create_app(alone).test_client()
        codes = [browser.sign_in(portal.email(Role.OWNER), "a wrong password").status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
    assert [one.levelname for one in caplog.records if "in this process alone" in one.message] == ["WARNING"]
