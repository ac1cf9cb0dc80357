"""Nobody learns who has an account: not from an answer, nor from what it costs, on any page that takes an address."""

from collections.abc import Generator
from typing import Any
from uuid import UUID

import pytest
from work_done import Work, counted, without_chance

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import members

Portal = Any  # the class of the fixture, account_holders.Portal
W = "maple"
UNKNOWN = "nobody@people.example"


@pytest.fixture
def addresses(portal: Portal) -> Generator[dict[str, str]]:
    """Of a member, of somebody who was removed, of nobody."""
    removed: UUID = portal.people[W, Role.READ_ONLY]
    with portal.database(W) as conn:
        members.set_state(conn, removed, "removed")
    yield {"member": portal.email(Role.MEMBER), "removed": portal.email(Role.READ_ONLY), "nobody": UNKNOWN}
    with portal.database(W) as conn:
        members.set_state(conn, removed, "active")


def answers(
    portal: Portal, path: str, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch, **form: str
) -> dict[str, tuple[int, str, list[str], Work]]:
    found: dict[str, tuple[int, str, list[str], Work]] = {}
    for who, email in addresses.items():
        browser = portal.client(W)
        filled = {"email": email, "csrf_token": browser.token("/reset"), **form}
        with counted(monkeypatch) as work:
            answer = browser.post_bare(path, filled)
        names = sorted(name for name, _ in answer.headers)
        found[who] = answer.status_code, without_chance(answer.text, email), names, work
    return found


@pytest.mark.parametrize("path", ["/sign-in", "/reset", "/unlock"])
def test_answer_headers_and_work_are_the_same(
    portal: Portal, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    found = answers(portal, path, addresses, monkeypatch, password="a wrong password")
    member = found.pop("member")
    assert member[0] == (401 if path == "/sign-in" else 200)
    for other in found.values():
        assert other[:3] == member[:3]
        assert other[3].statements == member[3].statements
        assert other[3].hashes == member[3].hashes
    assert len(member[3].hashes) == (1 if path == "/sign-in" else 0)


def test_a_locked_account_looks_like_one_that_does_not_exist(
    portal: Portal, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[tuple[int, str]] = []
    for email in addresses.values():
        browser = portal.client(W)
        for _ in range(5):
            browser.sign_in(email, "a wrong password")
        with counted(monkeypatch) as work:
            answer = browser.post("/sign-in", {"email": email, "password": portal.password})
        assert work.hashes == []
        pages.append((answer.status_code, without_chance(answer.text, email)))
    assert pages[0][0] == 429
    assert pages[0] == pages[1] == pages[2]


def test_a_link_that_was_used_and_one_that_never_was_look_the_same(portal: Portal) -> None:
    browser = portal.client(W)
    for kind in ("reset", "unlock", "invitation"):
        one, other = (browser.get(f"/{kind}/{token}") for token in ("A" * 43, "B" * 43))
        assert (one.status_code, without_chance(one.text)) == (410, without_chance(other.text))


def test_a_sign_up_says_nothing_about_its_address(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has an account somewhere: it is not looked up, and a slug that is taken is seen from its host anyhow."""
    pages: list[tuple[int, str, list[str]]] = []
    for email in (portal.email(Role.OWNER), UNKNOWN):
        site = portal.client(None)
        taken = {"name": "New", "slug": portal.workspaces[W].slug, "email": email}
        with counted(monkeypatch) as work:
            answer = site.post("/sign-up", taken, form="/sign-up")
        pages.append((answer.status_code, without_chance(answer.text, email), work.statements))
    assert pages[0] == pages[1]
    assert pages[0][0] == 409
