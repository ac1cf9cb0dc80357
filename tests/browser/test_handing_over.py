"""Two people in two browsers: approvals that are handed over, a workspace that changes its owner."""

from playwright.sync_api import expect
from sample_data import NAMES, Workspace
from sqlalchemy import select, update
from watched_browser import PHONE, Visitors, Watch

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import approval_step, member


def test_a_removal_says_what_it_does_and_the_successor_finds_the_report(
    workspace: Workspace, visitors: Visitors, watch: Watch
) -> None:
    watch.expect(422)
    leaver, successor = workspace.people[Role.MEMBER], workspace.people[Role.ADMIN]
    workspace.add_report(Role.CONTRIBUTOR, [workspace.add_expense(Role.CONTRIBUTOR, "Rail", "12.00")], "To Leeds")
    with workspace.database() as conn:
        conn.execute(update(approval_step).values(approver_id=leaver))
    page = visitors.member(workspace, Role.OWNER, f"/members/{leaver}")
    page.get_by_role("link", name=f"Remove {NAMES[Role.MEMBER]}").click()
    expect(page.get_by_text("Reports that wait for them")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Choose who takes over")).to_be_visible()
    page.get_by_label("Who takes over").select_option(str(successor))
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("1 report handed over")).to_be_visible()
    queue = visitors.member(workspace, Role.ADMIN, "/approvals", size=PHONE)
    expect(queue.get_by_text("To Leeds")).to_be_visible()


def test_a_workspace_changes_its_owner_when_both_have_agreed(workspace: Workspace, visitors: Visitors) -> None:
    owner = visitors.member(workspace, Role.OWNER, "/members")
    owner.get_by_role("link", name="Hand over the workspace").click()
    owner.get_by_label("New Owner").select_option(str(workspace.people[Role.ADMIN]))
    owner.get_by_role("button", name="Send the offer").click()
    expect(owner.get_by_role("button", name="Take the offer back")).to_be_visible()
    taker = visitors.member(workspace, Role.ADMIN, "/members", size=PHONE)
    taker.get_by_role("link", name="Read the offer").click()
    taker.get_by_role("button", name="Accept").click()
    expect(taker.get_by_text("You are now an Owner")).to_be_visible()
    with workspace.database() as conn:
        roles = dict(conn.execute(select(member.c.id, member.c.role)).tuples())
    assert (roles[workspace.people[Role.ADMIN]], roles[workspace.people[Role.OWNER]]) == ("owner", "admin")
