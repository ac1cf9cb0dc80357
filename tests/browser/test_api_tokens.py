"""A token is made, shown once, tried on the reference page, and revoked."""

import os
from pathlib import Path

from axe_audit import audit
from playwright.sync_api import Page, expect
from sample_data import Workspace
from watched_browser import PHONE, Visitors, Watch

from strongroom.platform.web.permissions import Role


def test_a_token_is_made_tried_and_revoked(visitors: Visitors, watch: Watch, workspace: Workspace) -> None:
    workspace.add_expense(Role.MEMBER, "Great Western Railway", "86.40")
    page = visitors.member(workspace, Role.OWNER, "/settings/tokens", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("link", name="Make the first token").click()
    page.get_by_label("What is it for?").fill("Monthly export")
    expect(page.get_by_label("Create, change and delete drafts")).not_to_be_checked()
    page.get_by_role("button", name="Make the token").click()
    token = page.get_by_label("Token", exact=True).input_value()
    assert token.startswith("srt_")
    page.wait_for_load_state()  # a script copies
    _picture(page, "made")
    page.get_by_role("button", name="Copy the token").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == token
    watch.expect(401)
    reference = visitors.stranger(f"{workspace.url}/api/docs")  # it needs no sign-in, only the token
    _try(reference, "List expenses", "401")
    reference.get_by_label("Token to try it with").fill(token)
    _try(reference, "List expenses", "200")
    expect(reference.locator("#get-expenses [data-api-answer]")).to_contain_text("Great Western Railway")
    _picture(reference, "reference")
    page.goto("/settings/tokens")
    assert token not in page.content()
    _picture(page, "list")
    page.get_by_role("button", name="Revoke the token Monthly export").click()
    expect(page.get_by_text("“Monthly export” is revoked")).to_be_visible()
    _try(reference, "List expenses", "401")


def test_axe_finds_nothing_on_the_reference_page(visitors: Visitors, busy: Workspace) -> None:
    page = visitors.stranger(f"{busy.url}/api/docs", bypass_csp=True)
    found = audit(page, "/api/docs")
    assert not found, "\n".join(found)


def _try(page: Page, heading: str, status: str) -> None:
    section = page.locator("section").filter(has=page.get_by_role("heading", name=heading, exact=True))
    attempt = section.locator("details").filter(has_text="Try it")
    if attempt.get_attribute("open") is None:
        attempt.locator("summary").click()
    attempt.get_by_role("button", name="Send").click()
    expect(attempt.locator("[data-api-answer]")).to_contain_text(status)


def _picture(page: Page, name: str) -> None:
    folder = os.environ.get("API_PICTURES")
    if folder:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=name != "reference")
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        page.screenshot(path=Path(folder) / f"{name}-phone.png", full_page=name != "reference")
        page.set_viewport_size({"width": 1280, "height": 900})
