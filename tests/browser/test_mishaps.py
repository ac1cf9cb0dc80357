"""What a customer sees of a restore, of a suspension, and of web processes that die in the middle of an upload."""

import json
import re
from pathlib import Path

from live_service import LiveService
from PIL import Image
from playwright.sync_api import expect
from sample_data import Workspace
from sqlalchemy import select
from watched_browser import Visitors, Watch, sign_in

from strongroom.platform.keys import ReceiptVault
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import expense, receipt

SLOW = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}  # bytes per second
# Looks in each frame, because it does not last; not with `wait_for_function`, which the page's policy forbids.
ALL_SENT = """() => new Promise((resolve, reject) => {
    const end = performance.now() + 60_000;
    const look = () => {
        if (document.querySelector(".drop-progress")?.value === 100) resolve();
        else if (performance.now() > end) reject(new Error("not everything was sent"));
        else requestAnimationFrame(look);
    };
    look();
})"""


def test_a_restore_brings_back_what_was_there(
    service: LiveService, visitors: Visitors, watch: Watch, workspace: Workspace
) -> None:
    slug = workspace.tenant.slug
    workspace.add_expense(Role.MEMBER, "Before the backup", "10.00")
    page = visitors.member(workspace, Role.OWNER, "/expenses")
    taken = json.loads(service.cli("backup", "run", slug, "--json"))[0]["id"]  # the worker may take others meanwhile
    page.goto("/settings/backups")
    expect(page.locator("tbody")).to_contain_text("Verified")

    with workspace.database() as conn:
        conn.execute(expense.update().values(merchant="Spoiled by mistake"))
    page.goto("/expenses")
    expect(page.get_by_role("link", name="Spoiled by mistake")).to_be_visible()
    service.cli("backup", "restore", slug, "--backup", taken, "--yes")
    watch.expect(401)  # a restored database knows no sessions
    page.goto("/expenses")
    page.get_by_role("link", name="Sign in", exact=True).click()
    sign_in(page, workspace.email(Role.OWNER))
    expect(page).to_have_url(f"{workspace.url}/expenses")
    expect(page.get_by_role("link", name="Before the backup")).to_be_visible()
    expect(page.get_by_role("link", name="Spoiled by mistake")).to_have_count(0)


def test_a_suspended_workspace_says_so_and_comes_back(
    service: LiveService, visitors: Visitors, watch: Watch, workspace: Workspace
) -> None:
    page = visitors.member(workspace, Role.OWNER)
    watch.expect(403)
    service.cli("tenant", "suspend", workspace.tenant.slug, "--yes")
    page.goto("/")
    expect(page.get_by_role("heading", name="This workspace is suspended")).to_be_visible()
    service.cli("tenant", "resume", workspace.tenant.slug)
    page.goto("/")
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()


def test_too_many_wrong_passwords_are_slowed_down(visitors: Visitors, watch: Watch, workspace: Workspace) -> None:
    watch.expect(401, 429)
    page = visitors.stranger(f"{workspace.url}/sign-in")
    for _ in range(11):
        with page.expect_navigation():  # till the answer is there, which has the same address
            sign_in(page, workspace.email(Role.OWNER), "not the password")
        if page.get_by_role("heading", name="Too many tries").is_visible():
            return
    raise AssertionError("eleven wrong passwords were all answered")


def test_killing_the_web_processes_during_an_upload_leaves_nothing_false(
    service: LiveService, visitors: Visitors, watch: Watch, workspace: Workspace, tmp_path: Path
) -> None:
    big = tmp_path / "receipt.png"
    Image.effect_noise((2200, 2200), 90).save(big)  # noise does not compress: megabytes to send and to seal
    page = visitors.member(workspace, Role.MEMBER, "/expenses/new")
    page.get_by_label("Merchant").last.fill("Great Western Railway")
    network = page.context.new_cdp_session(page)
    network.send("Network.emulateNetworkConditions", SLOW)
    page.locator("[data-drop] input[type=file]").first.set_input_files(big)
    expect(page.locator(".drop-progress")).to_be_visible()
    watch.expect_any(
        re.compile("ERR_CONNECTION|ERR_HTTP2|ERR_EMPTY|Send Error|ERR_NETWORK|htmx:sendError|htmx:afterRequest")
    )
    service.kill("https")
    expect(page.locator(".drop-progress")).to_be_hidden()
    expect(page.get_by_label("Merchant").last).to_have_value("Great Western Railway")
    expect(page.locator(".toast-error")).to_contain_text("nothing was saved")
    assert receipts_of(workspace) == 0

    service.wait_for_web()
    network.send("Network.emulateNetworkConditions", SLOW | {"uploadThroughput": -1})
    page.locator("[data-drop] input[type=file]").first.set_input_files(big)
    page.evaluate(ALL_SENT)  # and now being sealed
    service.kill("https")
    service.wait_for_web()
    kept = receipts_of(workspace)
    assert kept in (0, 1)

    page.goto("/expenses/new")
    page.locator("[data-drop] input[type=file]").first.set_input_files(big)
    expect(page.locator(".viewer-stage img")).to_be_visible(timeout=120_000)
    assert receipts_of(workspace) == kept + 1


def receipts_of(workspace: Workspace) -> int:
    """How many receipts the database names; each must be there, whole and readable."""
    vault = ReceiptVault(workspace.platform.settings, workspace.platform.keys.tenant(workspace.tenant.id))
    with workspace.database() as conn:
        rows = conn.execute(select(receipt.c.id, receipt.c.object)).all()
    assert all(vault.load(row.id, row.object) for row in rows)
    return len(rows)
