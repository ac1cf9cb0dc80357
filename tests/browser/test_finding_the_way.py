"""Filters, addresses, the back button, keys, colours, small screens."""

import re

import pytest
from playwright.sync_api import Page, expect
from sample_data import Workspace
from watched_browser import PHONE, Visitors

from strongroom.platform.web.permissions import Role


@pytest.fixture
def page(visitors: Visitors, busy: Workspace) -> Page:
    return visitors.member(busy, Role.OWNER)


def test_filters_are_in_the_address_and_back_takes_them_away_again(page: Page) -> None:
    page.goto("/expenses")
    everything = page.locator(".totals-count").inner_text()
    page.locator("summary", has_text="State").click()
    page.get_by_role("checkbox", name="Submitted", exact=True).check()
    expect(page).to_have_url(re.compile(r"\?.*state=submitted"))
    expect(page.get_by_label("Remove the filter")).to_have_count(1)
    submitted = page.locator(".totals-count").inner_text()
    assert submitted != everything
    assert set(page.locator("tbody .pill").all_inner_texts()) == {"Submitted"}
    page.reload()
    expect(page.locator(".totals-count")).to_have_text(submitted)
    page.locator("[data-row-link]").first.click()
    expect(page.locator(".facts").first).to_be_visible()
    page.go_back()
    expect(page.locator(".totals-count")).to_have_text(submitted)
    page.go_back()
    expect(page).to_have_url(re.compile(r"/expenses$"))
    expect(page.locator(".totals-count")).to_have_text(everything)


def test_a_filter_shows_its_own_totals_and_can_be_taken_off(page: Page) -> None:
    page.goto("/expenses?q=zzzz")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    page.get_by_label("Remove the filter").click()
    expect(page).to_have_url(re.compile(r"/expenses$"))
    expect(page.locator("[data-row]").first).to_be_visible()


def test_next_and_previous_walk_the_list_without_a_gap(page: Page) -> None:
    page.goto("/expenses")
    first = rows(page)
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("link", name="Previous")).to_be_visible()
    page.wait_for_load_state()  # till then some rows may be missing
    assert not set(first) & set(rows(page))
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("[data-row-link]").first).to_have_attribute("href", first[0])
    page.wait_for_load_state()
    assert rows(page) == first


def test_every_flow_works_by_keyboard_alone(visitors: Visitors, workspace: Workspace) -> None:
    for merchant in ("First taxi", "Second taxi", "Third taxi"):
        workspace.add_expense(Role.MEMBER, merchant, "20.00")
    page = visitors.member(workspace, Role.MEMBER)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()

    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search expenses")).to_be_focused()
    page.keyboard.type("taxi")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/expenses\?q=taxi$"))
    page.wait_for_load_state()  # the keys need the script
    merchants = page.locator("[data-row-link]")
    page.keyboard.press("j")
    expect(merchants.nth(0)).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(merchants.nth(1)).to_be_focused()
    wanted = merchants.nth(1).inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(wanted)
    page.wait_for_load_state()

    page.keyboard.press("n")
    expect(page.get_by_role("heading", level=1)).to_have_text("Add expense")
    page.wait_for_load_state()
    expect(page.get_by_label("Merchant").last).to_be_focused()
    page.keyboard.type("Bakery")
    tab_to(page, "#amount")
    page.keyboard.type("4.20")
    tab_to(page, "#category")
    page.keyboard.press("ArrowDown")
    tab_to(page, "button[value=submit]")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Submitted 1 expense to an Admin for approval.")).to_be_visible()


def test_colours_follow_the_device_until_somebody_chooses(visitors: Visitors, busy: Workspace) -> None:
    page = visitors.member(busy, Role.OWNER, color_scheme="dark")
    root, body = page.locator("html"), page.locator("body")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    dark = body.evaluate("body => getComputedStyle(body).backgroundColor")
    page.get_by_role("button", name="Light", exact=True).click()
    expect(root).to_have_attribute("data-bs-theme", "light")
    assert body.evaluate("body => getComputedStyle(body).backgroundColor") != dark
    page.goto("/expenses")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.get_by_role("button", name="As the device").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")


def test_on_a_phone_the_menu_opens_and_a_receipt_is_one_touch_away(visitors: Visitors, busy: Workspace) -> None:
    page = visitors.member(busy, Role.CONTRIBUTOR, size=PHONE, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Menu").click()
    page.locator(".sidebar").get_by_role("link", name="Expenses").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Expenses")
    page.get_by_role("link", name="Add expense").last.click()
    camera = page.get_by_text("Take a photo")
    expect(camera).to_be_visible()
    assert camera.locator("input").get_attribute("capture") == "environment"


def rows(page: Page) -> list[str]:
    return [one.get_attribute("href") or "" for one in page.locator("[data-row-link]").all()]


def tab_to(page: Page, selector: str) -> None:
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.locator(selector).evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {selector}")
