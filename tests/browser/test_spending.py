"""From a receipt to an approved report, by the people who do it, each in a browser of their own."""

from pathlib import Path
from uuid import UUID

from playwright.sync_api import Page, expect
from sample_data import NAMES, Workspace
from sqlalchemy import func, select
from watched_browser import Visitors, Watch

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import audit_event, report
from strongroom.tenant_schema.tables import receipt as receipt_table


def fill(page: Page, merchant: str, amount: str) -> None:
    page.get_by_label("Merchant").last.fill(merchant)
    page.get_by_label("Amount", exact=True).fill(amount)
    page.get_by_label("Date", exact=True).fill("12/03/2024")
    page.get_by_label("Category").last.select_option(index=1)


def first_category(page: Page) -> str:
    return page.locator("#category option").nth(1).inner_text()


def test_a_receipt_becomes_an_expense_that_is_approved_and_counted(
    visitors: Visitors, workspace: Workspace, receipt: Path
) -> None:
    spender = visitors.member(workspace, Role.CONTRIBUTOR)
    spender.get_by_role("link", name="Add expense").first.click()
    expect(spender.get_by_role("heading", level=1, name="Add expense")).to_be_visible()
    spender.wait_for_load_state()  # scripts take the file
    spender.locator("[data-drop] input[type=file]").first.set_input_files(receipt)
    picture = spender.locator(".viewer-stage img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    form = spender.locator("#expense-form").bounding_box()
    shown = picture.bounding_box()
    assert form
    assert shown
    assert shown["x"] + shown["width"] <= form["x"] or form["x"] + form["width"] <= shown["x"], "side by side"
    fill(spender, "Great Western Railway", "86.40")
    category = first_category(spender)
    spender.get_by_role("button", name="Save as a draft").click()
    expect(spender.get_by_text("Saved as a draft.")).to_be_visible()
    spender.wait_for_load_state()

    spender.get_by_label("Choose Great Western Railway, 12 Mar 2024").check()
    spender.get_by_role("button", name="Submit 1 expense").click()
    expect(spender.get_by_text("Submitted 1 expense to an Admin for approval.")).to_be_visible()

    approver = visitors.member(workspace, Role.OWNER)
    expect(approver.locator(".mini-queue")).to_contain_text(NAMES[Role.CONTRIBUTOR])
    expect(approver.locator(".sidebar-link", has_text="Approvals")).to_contain_text("1")
    approver.get_by_role("link", name="Great Western Railway").click()
    expect(approver.locator(".report-receipt img")).to_be_visible()
    approver.get_by_role("button", name="Approve 86.40 GBP").click()
    expect(approver.get_by_text("Approved.")).to_be_visible()
    expect(approver.get_by_text("Nothing waits for you")).to_be_visible()

    spender.goto("/")
    expect(spender.locator(".figure-card", has_text="To be reimbursed")).to_contain_text("86.40")
    table = spender.locator("#category-table")
    spender.locator("[data-chart-card]", has_text="Top categories").get_by_role("button").click()
    expect(table).to_be_visible()
    expect(table.get_by_role("row", name=category)).to_contain_text("86.40")
    table.get_by_role("link", name=category).click()
    expect(spender.get_by_role("link", name="Great Western Railway")).to_be_visible()


def test_a_returned_report_comes_back_with_its_reason_and_goes_out_again(
    visitors: Visitors, watch: Watch, workspace: Workspace
) -> None:
    expense = workspace.add_expense(Role.MEMBER, "Hotel Marlowe", "142.00")
    workspace.add_report(Role.MEMBER, [expense], "Hotel Marlowe")
    approver = visitors.member(workspace, Role.ADMIN, "/approvals")
    approver.get_by_role("link", name="Return Hotel Marlowe").click()
    watch.expect(422)
    approver.get_by_role("button", name="Return with this reason").click()
    expect(approver.locator(".field-error")).to_have_text("Say what should be changed.")
    approver.get_by_label("Or return it with a reason").fill("Which client was this for?")
    approver.get_by_role("button", name="Return with this reason").click()
    expect(approver.get_by_text("Returned with your reason.")).to_be_visible()

    spender = visitors.member(workspace, Role.MEMBER, f"/expenses/{expense}")
    expect(spender.locator(".notice")).to_contain_text("Which client was this for?")
    spender.get_by_label("Note").fill("For Larkspur’s own fair")
    spender.get_by_role("button", name="Save and submit").click()
    expect(spender.get_by_text("Submitted 1 expense to an Admin for approval.")).to_be_visible()
    approver.goto("/approvals")
    approver.get_by_role("button", name="Approve Hotel Marlowe").click()
    expect(approver.get_by_text("Approved.")).to_be_visible()


def test_of_two_tabs_the_later_is_told_and_keeps_what_was_typed(
    visitors: Visitors, watch: Watch, workspace: Workspace
) -> None:
    expense = workspace.add_expense(Role.MEMBER, "Taxi", "20.00")
    one = visitors.member(workspace, Role.MEMBER, f"/expenses/{expense}")
    two = one.context.new_page()
    two.goto(f"/expenses/{expense}")
    one.get_by_label("Amount", exact=True).fill("21.00")
    one.get_by_role("button", name="Save", exact=True).click()
    expect(one.get_by_text("Saved.")).to_be_visible()
    watch.expect(409)
    two.get_by_label("Amount", exact=True).fill("22.50")
    two.get_by_label("Note").fill("typed with care")
    two.get_by_role("button", name="Save", exact=True).click()
    told = two.get_by_role("alert")
    expect(told).to_contain_text("changed in another tab")
    expect(told).to_contain_text("21.00")
    expect(two.get_by_label("Amount", exact=True)).to_have_value("22.50")
    expect(two.get_by_label("Note")).to_have_value("typed with care")
    two.get_by_role("button", name="Save", exact=True).click()
    expect(two.get_by_text("Saved.")).to_be_visible()
    expect(two.get_by_role("row", name="Taxi")).to_contain_text("22.50")


def test_a_double_click_on_submit_makes_one_report(visitors: Visitors, workspace: Workspace) -> None:
    for merchant in ("Taxi", "Lunch"):
        workspace.add_expense(Role.MEMBER, merchant, "20.00")
    page = visitors.member(workspace, Role.MEMBER, "/expenses")
    page.get_by_label("Choose all that can be submitted on this page").check()
    page.get_by_role("button", name="Submit 2 expenses").dblclick()
    expect(page.get_by_text("Submitted 2 expenses to an Admin for approval.")).to_be_visible()
    assert count(workspace, report) == 1


def test_the_same_form_sent_twice_at_once_makes_one_report(visitors: Visitors, workspace: Workspace) -> None:
    """What a double click does where no script stands in its way."""
    expense = workspace.add_expense(Role.MEMBER, "Taxi", "20.00")
    page = visitors.member(workspace, Role.MEMBER, "/expenses")
    script = """async (expense) => {
        const csrf_token = document.querySelector("#bulk [name=csrf_token]").value;
        const body = new URLSearchParams({ csrf_token, expense });
        const send = () => fetch("/expenses/submit", { method: "POST", body });
        return (await Promise.all([send(), send(), send()])).map((answer) => answer.status);
    }"""
    assert page.evaluate(script, str(expense)) == [200, 200, 200]
    assert count(workspace, report) == 1
    with workspace.database() as conn:
        events = conn.scalar(select(func.count()).where(audit_event.c.action == "report.submitted"))
    assert events == 1


def test_wrong_fields_say_what_is_wrong_and_keep_the_rest(
    visitors: Visitors, watch: Watch, workspace: Workspace
) -> None:
    watch.expect(422)
    page = visitors.member(workspace, Role.CONTRIBUTOR, "/expenses/new")
    fill(page, "Corner shop", "12.345")
    page.get_by_label("Date", exact=True).fill("sometime in March")
    page.get_by_role("button", name="Save as a draft").click()
    expect(page.locator("#amount-error")).to_be_visible()
    expect(page.locator("#spent_on-error")).to_be_visible()
    expect(page.get_by_label("Amount", exact=True)).to_have_value("12.345")
    expect(page.get_by_label("Merchant").last).to_have_value("Corner shop")
    assert page.get_by_label("Amount", exact=True).get_attribute("aria-describedby") == "amount-error"


def test_a_page_that_calls_itself_a_picture_is_refused_beside_the_form(
    visitors: Visitors, watch: Watch, workspace: Workspace, tmp_path: Path
) -> None:
    watch.expect(422)
    trick = tmp_path / "receipt.jpg"
    trick.write_text("<html><script>alert(1)</script></html>", encoding="utf-8")
    page = visitors.member(workspace, Role.CONTRIBUTOR, "/expenses/new")
    page.get_by_label("Merchant").last.fill("Corner shop")
    page.locator("[data-drop] input[type=file]").first.set_input_files(trick)
    expect(page.locator("#receipt-pane").get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Merchant").last).to_have_value("Corner shop")
    assert count(workspace, receipt_table) == 0


def test_the_price_of_a_foreign_expense_is_shown_while_it_is_typed(visitors: Visitors, workspace: Workspace) -> None:
    page = visitors.member(workspace, Role.CONTRIBUTOR, "/expenses/new")
    expect(page.get_by_label("Exchange rate")).to_be_hidden()
    fill(page, "Trattoria Lucca", "58.20")
    page.get_by_label("Currency").select_option("EUR")
    page.get_by_label("Exchange rate").fill("0.8531")
    expect(page.locator("#fx-hint")).to_contain_text("49.65 GBP")
    page.get_by_role("button", name="Save as a draft").click()
    row = page.get_by_role("row", name="Trattoria Lucca")
    expect(row).to_contain_text("49.65 GBP")
    expect(row).to_contain_text("58.20 EUR")


def test_a_turned_receipt_is_seen_whole(visitors: Visitors, workspace: Workspace, receipt: Path) -> None:
    expense = workspace.add_expense(Role.MEMBER, "Taxi", "20.00", receipt=receipt)
    page = visitors.member(workspace, Role.MEMBER, f"/expenses/{expense}")
    stage, picture = page.locator(".viewer-stage"), page.locator(".viewer-stage img")
    for _ in range(4):
        page.get_by_role("button", name="Turn").click()
        outer, inner = stage.bounding_box(), picture.bounding_box()
        assert outer
        assert inner
        assert inner["x"] >= outer["x"]
        assert inner["y"] >= outer["y"]
        assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
        assert inner["y"] + inner["height"] <= outer["y"] + outer["height"]


def count(workspace: Workspace, table: object) -> int:
    with workspace.database() as conn:
        return conn.scalar(select(func.count()).select_from(table)) or 0  # pyright: ignore[reportArgumentType]


def test_dropping_a_receipt_on_the_dashboard_begins_an_expense(
    visitors: Visitors, workspace: Workspace, receipt: Path
) -> None:
    page = visitors.member(workspace, Role.CONTRIBUTOR)
    page.locator("[data-drop-anywhere] input[type=file]").first.set_input_files(receipt)
    expect(page.get_by_role("heading", level=1, name="Add expense")).to_be_visible()
    expect(page.locator(".viewer-stage img")).to_be_visible()
    assert UUID(page.locator("[data-receipt-input]").get_attribute("value") or "")
