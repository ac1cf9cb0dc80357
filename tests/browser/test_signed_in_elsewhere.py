"""One person in two browsers: they see each other, one ends the other, and “this was not me” ends both."""

import email
import os
import re
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from live_service import LiveService
from playwright.sync_api import Page, expect
from sample_data import Workspace
from watched_browser import DESKTOP, PHONE, Visitors, Watch, sign_in

from strongroom.platform.web.permissions import Role

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1"


def mails(service: LiveService, workspace: Workspace) -> list[EmailMessage]:
    """What lies in the outbox folder for the member of this workspace, oldest first."""
    files = sorted(service.settings.outbox_dir.glob("*.eml"))
    read = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
    mine = [one for one in read if one["To"] == workspace.email(Role.MEMBER)]
    return [one for one in mine if f"//{workspace.tenant.slug}." in text_of(one)]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part
    return str(part.get_content()).replace("\r\n", "\n")


def link_in(mail: EmailMessage) -> str:
    found = re.search(r"^https://\S+/not-me/\S+$", text_of(mail), re.MULTILINE)
    assert found
    return found[0]


def enter(visitors: Visitors, workspace: Workspace, **options: object) -> Page:
    page = visitors.stranger(f"{workspace.url}/sign-in", **options)
    sign_in(page, workspace.email(Role.MEMBER))
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
    return page


def test_another_browser_is_seen_and_its_session_ended(
    visitors: Visitors, watch: Watch, workspace: Workspace, service: LiveService
) -> None:
    laptop = enter(visitors, workspace)
    assert mails(service, workspace) == []  # the first sign-in ever
    phone = enter(visitors, workspace, user_agent=IPHONE, size=PHONE)
    (alert,) = mails(service, workspace)
    assert "Device: Safari on iPhone" in text_of(alert)
    laptop.goto("/settings/sessions")
    expect(laptop.get_by_role("row").filter(has_text="This session")).to_contain_text("Chrome on Linux")
    picture(laptop, "sessions")
    laptop.get_by_role("button", name="End the session on Safari on iPhone").click()
    expect(laptop.get_by_text("That session has ended.")).to_be_visible()
    expect(laptop.get_by_text("Safari on iPhone")).to_have_count(0)
    watch.expect(401)
    phone.reload()
    expect(phone.get_by_role("heading", name="Your session has ended")).to_be_visible()


def test_all_other_browsers_are_ended_with_one_button(visitors: Visitors, watch: Watch, workspace: Workspace) -> None:
    here = enter(visitors, workspace)
    others = [enter(visitors, workspace) for _ in range(2)]
    here.goto("/settings/sessions")
    here.get_by_role("button", name="End all other sessions (2)").click()
    expect(here.get_by_text("2 other sessions ended.")).to_be_visible()
    watch.expect(401)
    for one in others:
        one.reload()
        expect(one.get_by_role("heading", name="Your session has ended")).to_be_visible()


def test_this_was_not_me_ends_every_session(
    visitors: Visitors, watch: Watch, workspace: Workspace, service: LiveService
) -> None:
    mine, strangers = enter(visitors, workspace), enter(visitors, workspace)
    reader = visitors.stranger(link_in(mails(service, workspace)[-1]))
    expect(reader.get_by_role("heading", name="Was this not you?")).to_be_visible()
    picture(reader, "not-me")
    reader.get_by_role("button", name="This was not me").click()
    expect(reader.get_by_role("heading", name="Nobody is in your account now")).to_be_visible()
    expect(reader.get_by_text("2 sessions ended")).to_be_visible()
    picture(reader, "disowned")
    watch.expect(401, 410)
    for one in (mine, strangers):
        one.reload()
        expect(one.get_by_role("heading", name="Your session has ended")).to_be_visible()
    strangers.goto("/sign-in")
    sign_in(strangers, workspace.email(Role.MEMBER))
    expect(strangers.get_by_role("alert")).to_be_visible()
    reader.goto(link_in(mails(service, workspace)[-2]))
    expect(reader.get_by_role("heading", name="This link has done its work")).to_be_visible()
    picture(reader, "gone")
    assert "/reset/" in text_of(mails(service, workspace)[-1])


def picture(page: Page, name: str) -> None:
    folder = os.environ.get("PICTURES")
    if folder:
        for size, label in ((DESKTOP, "wide"), (PHONE, "narrow")):
            for scheme in ("light", "dark"):
                page.set_viewport_size({"width": size[0], "height": size[1]})
                page.evaluate(f"document.documentElement.dataset.bsTheme = '{scheme}'")
                page.screenshot(path=Path(folder) / f"{name}-{label}-{scheme}.png", full_page=True)
        page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
