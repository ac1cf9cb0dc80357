"""The way in, with the form, as people of three roles; and the ways that lead nowhere."""

import pytest
from playwright.sync_api import expect
from sample_data import NAMES, Workspace
from watched_browser import COOKIE, Visitors, Watch, carry_session, sign_in

from strongroom.platform.web.permissions import Role


@pytest.mark.parametrize("role", [Role.OWNER, Role.CONTRIBUTOR, Role.READ_ONLY])
def test_a_member_signs_in_and_meets_the_dashboard(visitors: Visitors, workspace: Workspace, role: Role) -> None:
    page = visitors.stranger(workspace.url)
    expect(page).to_have_url(f"{workspace.url}/sign-in")
    sign_in(page, workspace.email(role))
    expect(page).to_have_url(f"{workspace.url}/")
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
    expect(page.locator(".sidebar-member")).to_contain_text(NAMES[role])
    expect(page.locator(".sidebar-member")).to_contain_text(role.label)


def test_a_wrong_password_says_so_and_keeps_the_address(visitors: Visitors, watch: Watch, workspace: Workspace) -> None:
    watch.expect(401)
    page = visitors.stranger(f"{workspace.url}/sign-in")
    sign_in(page, workspace.email(Role.OWNER), "not the password")
    expect(page.get_by_role("alert")).to_have_text("The e-mail address or the password is wrong.")
    expect(page.get_by_label("E-mail")).to_have_value(workspace.email(Role.OWNER))
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    sign_in(page, workspace.email(Role.OWNER))
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()


def test_sign_in_leads_to_the_page_that_was_asked_for(visitors: Visitors, workspace: Workspace) -> None:
    page = visitors.stranger(f"{workspace.url}/expenses?q=taxi")
    sign_in(page, workspace.email(Role.OWNER))
    expect(page).to_have_url(f"{workspace.url}/expenses?q=taxi")


def test_signing_out_ends_the_session(visitors: Visitors, watch: Watch, workspace: Workspace) -> None:
    page = visitors.member(workspace, Role.MEMBER)
    token = next(str(one.get("value")) for one in page.context.cookies() if one.get("name") == COOKIE)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    assert COOKIE not in [one.get("name") for one in page.context.cookies()]
    watch.expect(401)
    carry_session(page.context, workspace.url, token)
    answer = page.goto("/")
    assert answer
    assert answer.status == 401
    expect(page.get_by_role("heading", name="Your session has ended")).to_be_visible()


def test_a_session_of_one_workspace_is_nothing_on_anothers_host(
    visitors: Visitors, watch: Watch, workspace: Workspace, neighbour: Workspace
) -> None:
    watch.expect(401)
    page = visitors.stranger(f"{neighbour.url}/sign-in")
    stolen = workspace.begin_session(Role.OWNER)
    carry_session(page.context, neighbour.url, stolen)
    answer = page.goto("/")
    assert answer
    assert answer.status == 401
    assert neighbour.tenant.name not in page.content()


def test_an_unknown_workspace_is_a_404_that_names_nothing(
    visitors: Visitors, watch: Watch, workspace: Workspace
) -> None:
    watch.expect(404)
    page = visitors.stranger(workspace.url.replace(workspace.tenant.slug, "no-such-workspace"))
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
