"""What a browser and the edge make of each other: forms of other hosts, reports about the content policy."""

import re
import time

import pytest
from live_service import LiveService
from playwright.sync_api import Route, expect
from sample_data import NAMES, Workspace
from watched_browser import Visitors, Watch

from strongroom.platform.control.platform import Platform
from strongroom.platform.web import web_events
from strongroom.platform.web.permissions import Role

FORGED = """<!doctype html><title>Win a prize</title>
<form method="post" action="{target}/settings/profile">
  <input name="csrf_token" value="{token}"><input name="name" value="Mallory">
</form><script>document.forms[0].submit()</script>"""


def test_a_page_of_another_workspace_cannot_send_a_form_in_a_members_name(
    visitors: Visitors, watch: Watch, workspace: Workspace, neighbour: Workspace
) -> None:
    page = visitors.member(workspace, Role.MEMBER, "/settings/profile")
    token = page.locator('[name="csrf_token"]').first.input_value()
    html = FORGED.format(target=workspace.url, token=token)

    def attack(route: Route) -> None:
        route.fulfill(content_type="text/html", body=html)

    watch.expect(400)
    page.context.route(f"{neighbour.url}/prize", attack)
    with page.expect_response(f"{workspace.url}/settings/profile") as sent:
        page.goto(f"{neighbour.url}/prize")
    assert sent.value.status == 400
    expect(page.get_by_role("heading", name="This form can no longer be sent")).to_be_visible()
    page.goto(f"{workspace.url}/settings/profile")
    expect(page.locator('[name="name"]')).to_have_value(NAMES[Role.MEMBER])


@pytest.mark.parametrize("path", ["/sign-in"])
def test_chromium_reports_what_the_policy_has_blocked(
    visitors: Visitors, watch: Watch, office: Platform, workspace: Workspace, service: LiveService, path: str
) -> None:
    before = reported(office)
    page = visitors.stranger(f"{workspace.url}{path}")
    watch.expect_any(re.compile("inline event handler|script-src-attr"))
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<button onclick=\"alert(1)\">x</button>')")
    deadline = time.monotonic() + 120
    while reported(office) == before:
        assert time.monotonic() < deadline, "no report arrived"
        page.wait_for_timeout(100)


def reported(office: Platform) -> int:
    with office.control.connect() as conn:
        return web_events.totals(conn).get("csp_violation", 0)
