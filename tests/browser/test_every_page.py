"""What holds for every page that the application's routes can show, public and behind the sign-in."""

from pathlib import Path
from typing import Any

import pytest
from axe_audit import audit, too_wide
from flask import Flask
from live_service import LiveService
from page_list import pages
from playwright.sync_api import CDPSession, Page
from sample_data import Workspace, examples
from watched_browser import PHONE, Visitors, Watch, carry_session

from strongroom.platform.web.app import SITE
from strongroom.platform.web.permissions import Role

FIRST_LOAD, LATER_PAGE = 250_000, 40_000  # bytes over the wire, without the customer's own pictures
VARIANTS = {
    "expenses.index": ("?state=submitted&q=a", "?q=nothing-has-this-name", "?from=2024-13-45"),
    "reports.approvals": ("?view=all", "?view=decided"),
    "signup.find_workspace": ("?name=no-such-workspace",),
}
OTHER_ANSWERS = ("/no-such-page", "/expenses/0190a1b2-0000-7000-8000-000000000000", "/invitation/used-already")


@pytest.fixture
def unwatched_policy(visitors: Visitors) -> dict[str, Any]:
    """Options of a context into which axe may be put; that the policy holds is tested everywhere else."""
    return {"bypass_csp": True}


def test_axe_finds_nothing_on_the_pages_of_a_busy_workspace(
    visitors: Visitors, watch: Watch, portal: Flask, busy: Workspace, unwatched_policy: dict[str, Any]
) -> None:
    watch.expect(404, 410)
    page = visitors.member(busy, Role.OWNER, **unwatched_policy)
    every = [*pages(portal, examples(busy), VARIANTS), *OTHER_ANSWERS]
    found = [line for path in every for line in audit(page, path)]
    assert not found, "\n".join(found)


def test_axe_finds_nothing_on_the_pages_of_an_empty_workspace_and_of_an_open_form(
    visitors: Visitors, watch: Watch, workspace: Workspace, unwatched_policy: dict[str, Any], receipt: Path
) -> None:
    watch.expect(404, 403)
    page = visitors.member(workspace, Role.OWNER, **unwatched_policy)
    found = [line for path in ("/", "/expenses", "/approvals", "/settings/backups") for line in audit(page, path)]
    draft = workspace.add_expense(Role.OWNER, "Great Western Railway", "86.40", receipt=receipt)
    found += audit(page, f"/expenses/{draft}")
    page.context.close()
    reader = visitors.member(workspace, Role.READ_ONLY, **unwatched_policy)
    found += [line for path in ("/expenses", "/settings/workspace", "/approvals") for line in audit(reader, path)]
    assert not found, "\n".join(found)


def test_axe_finds_nothing_on_the_public_pages(
    visitors: Visitors,
    watch: Watch,
    portal: Flask,
    service: LiveService,
    busy: Workspace,
    unwatched_policy: dict[str, Any],
) -> None:
    watch.expect(404)
    page = visitors.stranger(service.url(), **unwatched_policy)
    found = [line for path in pages(portal.extensions[SITE], {}, VARIANTS) for line in audit(page, path)]
    found += audit(page, f"{busy.url}/sign-in")
    assert not found, "\n".join(found)


def test_the_first_load_is_light_and_every_page_after_it_lighter(
    visitors: Visitors, watch: Watch, portal: Flask, busy: Workspace
) -> None:
    watch.expect(404, 410)
    context = visitors.context(busy.url)
    carry_session(context, busy.url, busy.begin_session(Role.OWNER))
    traffic = Traffic(context.new_page())
    first = traffic.of("/")
    heavy = [f"the first load: {first}"] if first > FIRST_LOAD else []
    for path in pages(portal, examples(busy), VARIANTS):
        weight = traffic.of(path)
        heavy += [f"{path}: {weight}"] if weight > LATER_PAGE else []
    assert not heavy, heavy


def test_long_names_and_large_amounts_stay_inside_a_phones_screen(
    visitors: Visitors, workspace: Workspace, receipt: Path
) -> None:
    name = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft mbH & Co. KG"
    draft = workspace.add_expense(Role.OWNER, name, "1234567890.12", receipt=receipt)
    sent = workspace.add_expense(Role.MEMBER, name, "9999999999.99", receipt=receipt)
    report = workspace.add_report(Role.MEMBER, [sent], name)
    page = visitors.member(workspace, Role.OWNER, size=PHONE, has_touch=True, is_mobile=True)
    paths = ("/", "/expenses", f"/expenses/{draft}", f"/expenses/{sent}", "/approvals", f"/reports/{report}")
    found: list[str] = []
    for path in paths:
        page.goto(path)
        found += [f"{path}: {one}" for one in too_wide(page)]
    assert not found, found


class Traffic:
    """Counts what a page's visits cost over the wire."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._bytes: dict[str, int] = {}
        self._pictures: set[str] = set()
        self._session.on("Network.responseReceived", self._on_response)
        self._session.on("Network.loadingFinished", self._on_finished)
        self._session.send("Network.enable")

    def of(self, path: str) -> int:
        """Bytes that opening `path` costs, receipts aside."""
        self._bytes.clear()
        self._page.goto(path, wait_until="networkidle")  # what came later would be counted for the next path
        return sum(size for request, size in self._bytes.items() if request not in self._pictures)

    def _on_response(self, event: dict[str, Any]) -> None:
        if "/receipts/" in event["response"]["url"]:
            self._pictures.add(event["requestId"])

    def _on_finished(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = int(event["encodedDataLength"])
