"""What people must not reach: others' workspaces, forms of other pages, what their role does not permit."""

import re

import pytest
from playwright.sync_api import expect
from sample_data import Workspace
from watched_browser import Visitors, Watch

from strongroom.platform.web.permissions import Role

_EDITS = re.compile(r"(Add|Approve|Return|Submit|Withdraw|Mark|Delete|Invite|Change|Remove|Save)\b")


def test_read_only_sees_everything_and_no_control_that_changes_it(visitors: Visitors, busy: Workspace) -> None:
    page = visitors.member(busy, Role.READ_ONLY)
    for path in ("/", "/expenses", "/members", "/settings/workspace"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        controls = page.get_by_role("button").all() + page.get_by_role("link").all()
        shown = [one.inner_text().strip() for one in controls if one.is_visible()]
        assert not [text for text in shown if _EDITS.match(text)], path
        assert page.locator("[data-bulk-one], [data-drop]").count() == 0
    page.goto("/expenses")
    page.locator("[data-row-link]").first.click()
    expect(page.get_by_role("heading", name="What happened").or_(page.locator(".facts")).first).to_be_visible()
    page.wait_for_load_state()  # till then a form could still come
    assert page.locator("main form").count() == 0


@pytest.mark.parametrize("path", ["/expenses/new", "/approvals", "/members/invite"])
def test_read_only_gets_403_where_it_may_not_go(visitors: Visitors, watch: Watch, busy: Workspace, path: str) -> None:
    watch.expect(403)
    page = visitors.member(busy, Role.READ_ONLY)
    answer = page.goto(path)
    assert answer
    assert answer.status == 403
    expect(page.get_by_text("Your role in this workspace (Read-only) does not permit this.")).to_be_visible()


def test_a_contributor_sees_only_their_own(visitors: Visitors, watch: Watch, workspace: Workspace) -> None:
    own = workspace.add_expense(Role.CONTRIBUTOR, "My own taxi", "20.00")
    others = workspace.add_expense(Role.OWNER, "The owner's dinner", "200.00")
    page = visitors.member(workspace, Role.CONTRIBUTOR, "/expenses")
    expect(page.get_by_role("link", name="My own taxi")).to_be_visible()
    expect(page.get_by_role("link", name="The owner's dinner")).to_have_count(0)
    watch.expect(404)
    assert [_status(page.goto(f"/expenses/{one}")) for one in (own, others)] == [200, 404]


def test_an_expense_of_another_workspace_is_a_404(
    visitors: Visitors, watch: Watch, workspace: Workspace, neighbour: Workspace
) -> None:
    foreign = neighbour.add_expense(Role.OWNER, "Not yours", "1.00")
    watch.expect(404)
    page = visitors.member(workspace, Role.OWNER)
    assert _status(page.goto(f"/expenses/{foreign}")) == 404
    assert "Not yours" not in page.content()


def test_a_form_without_its_token_changes_nothing(visitors: Visitors, watch: Watch, workspace: Workspace) -> None:
    expense = workspace.add_expense(Role.MEMBER, "Taxi", "20.00")
    watch.expect(400)
    page = visitors.member(workspace, Role.MEMBER, f"/expenses/{expense}")
    page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach((one) => one.value = 'forged')")
    page.get_by_label("Amount", exact=True).fill("99.00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="This form can no longer be sent")).to_be_visible()
    page.goto(f"/expenses/{expense}")
    expect(page.get_by_label("Amount", exact=True)).to_have_value("20.00")


def test_a_form_on_anothers_page_cannot_use_the_session(
    visitors: Visitors, watch: Watch, workspace: Workspace, neighbour: Workspace
) -> None:
    expense = workspace.add_expense(Role.MEMBER, "Taxi", "20.00")
    target = f"{workspace.url}/expenses/{expense}/delete"
    trap = f"<form method=post action={target}><input name=csrf_token value=x><button>A prize</button></form>"
    watch.expect(400, 401)
    page = visitors.member(workspace, Role.MEMBER)
    page.context.route(f"{neighbour.url}/trap", lambda route: route.fulfill(body=trap, content_type="text/html"))
    page.goto(f"{neighbour.url}/trap")
    with page.expect_response(target) as answer:
        page.get_by_role("button", name="A prize").click()
    assert answer.value.status in (400, 401)
    expect(page).to_have_url(target)
    assert _status(page.goto(f"/expenses/{expense}")) == 200


def _status(answer: object) -> int:
    return getattr(answer, "status", 0)
