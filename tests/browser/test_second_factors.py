"""Second factors as people meet them: an app and recovery codes, passkeys of a virtual authenticator."""

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from axe_audit import audit, audit_shown
from playwright.sync_api import Page, expect
from pyotp.totp import TOTP
from sample_data import PASSWORD, Workspace
from sqlalchemy import update
from watched_browser import Visitors, Watch, sign_in

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import session


def test_an_app_is_enrolled_and_its_code_signs_in(visitors: Visitors, watch: Watch, workspace: Workspace) -> None:
    page = visitors.member(workspace, Role.OWNER, "/settings/security")
    page.get_by_role("button", name="Set up an authenticator app").click()
    expect(page.get_by_role("img", name="QR code for your authenticator app")).to_be_visible()
    secret = page.locator("#secret").inner_text().replace(" ", "")
    page.get_by_label("Code", exact=True).fill(TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", name="Your authenticator app is set up.")).to_be_visible()
    page.wait_for_load_state()  # till then some codes may be missing
    codes = page.locator(".codes code").all_inner_texts()
    assert len(set(codes)) == 10
    assert all(one in unquote(page.get_by_role("link", name="Download").get_attribute("href") or "") for one in codes)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert codes[9] in Path(download.value.path()).read_text()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 of 10 left")).to_be_visible()

    watch.expect(401)
    again = visitors.stranger(f"{workspace.url}/expenses?q=taxi")
    sign_in(again, workspace.email(Role.OWNER))
    expect(again.get_by_role("heading", name="Is it you?")).to_be_visible()
    again.get_by_label("Code from your app").fill("000000")
    again.get_by_role("button", name="Go on").click()
    expect(again.get_by_role("alert")).to_contain_text("That was not right")
    again.get_by_label("Code from your app").fill(TOTP(secret).at(time.time() + 30))
    again.get_by_role("button", name="Go on").click()
    expect(again).to_have_url(f"{workspace.url}/expenses?q=taxi")

    third = visitors.stranger(f"{workspace.url}/sign-in")
    sign_in(third, workspace.email(Role.OWNER))
    third.get_by_role("link", name="Use a recovery code instead").click()
    third.get_by_label("Recovery code").fill(codes[3].lower().replace("-", " "))
    third.get_by_role("button", name="Go on").click()
    expect(third).to_have_url(f"{workspace.url}/")
    third.goto("/settings/security")
    expect(third.get_by_text("9 of 10 left")).to_be_visible()


def test_a_passkey_is_enrolled_and_signs_in_after_the_password_and_alone(
    visitors: Visitors, workspace: Workspace
) -> None:
    page = visitors.member(workspace, Role.MEMBER, "/settings/security")
    with authenticator(page):
        page.get_by_role("link", name="Add a passkey").click()
        expect(page.get_by_role("button", name="Create the passkey")).to_be_visible()
        page.wait_for_load_state()  # a script asks the authenticator
        page.get_by_label("Name").fill("Work laptop")
        page.get_by_role("button", name="Create the passkey").click()
        expect(page.get_by_role("heading", name="Your passkey is added.")).to_be_visible()
        page.get_by_role("link", name="I have kept them").click()
        expect(page.get_by_text("Work laptop", exact=True)).to_be_visible()

        sign_out(page)
        sign_in(page, workspace.email(Role.MEMBER))
        expect(page.get_by_text("Now your passkey")).to_be_visible()
        page.wait_for_load_state()
        page.get_by_role("button", name="Use your passkey").click()
        expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()

        sign_out(page)
        page.wait_for_load_state()
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()

        page.goto("/step-up?next=/settings/security")
        page.get_by_role("button", name="Use your passkey").click()
        expect(page).to_have_url(f"{workspace.url}/settings/security")
        expect(page.get_by_text(re.compile("last used just now"))).to_be_visible()
        page.wait_for_load_state()
        page.get_by_role("button", name="Remove the passkey Work laptop").click()
        page.get_by_role("button", name="Remove it").click()
        expect(page.get_by_text("The passkey is removed.")).to_be_visible()


def test_a_passkey_that_the_person_does_not_confirm_says_so(visitors: Visitors, workspace: Workspace) -> None:
    page = visitors.stranger(f"{workspace.url}/sign-in")
    with authenticator(page):
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was confirmed")


def test_axe_finds_nothing_on_the_way_and_what_was_typed_survives_a_step_up(
    visitors: Visitors, watch: Watch, workspace: Workspace
) -> None:
    watch.expect(401, 422)
    page = visitors.member(workspace, Role.OWNER, "/settings/security", bypass_csp=True)
    page.get_by_role("button", name="Set up an authenticator app").click()
    expect(page.locator("#secret")).to_be_visible()
    found = audit_shown(page, "the app")
    secret = page.locator("#secret").inner_text().replace(" ", "")
    page.get_by_label("Code", exact=True).fill("000000")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.locator(".field-error")).to_be_visible()
    found += audit_shown(page, "the app after a wrong code")
    page.get_by_label("Code", exact=True).fill(TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", name="Your authenticator app is set up.")).to_be_visible()
    found += audit_shown(page, "the recovery codes")
    code = page.locator(".codes code").first.inner_text()
    found += audit(page, "/settings/security")

    with workspace.database() as conn:
        conn.execute(update(session).values(created_at=datetime.now(UTC) - timedelta(hours=1)))
    page.goto("/members/invite")
    page.get_by_label("E-mail").fill("new@people.example")
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_text("What you typed is kept")).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was changed")
    found += audit_shown(page, "the step-up")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_label("Code from your app, or a recovery code").fill(code)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    found += audit_shown(page, "the kept form")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Invitation for new@people.example")).to_be_visible()

    stranger = visitors.stranger(f"{workspace.url}/sign-in", bypass_csp=True)
    sign_in(stranger, workspace.email(Role.OWNER))
    expect(stranger.get_by_role("heading", name="Is it you?")).to_be_visible()
    found += audit_shown(stranger, "the second factor") + audit(stranger, "/sign-in/second?use=recovery")
    stranger.get_by_role("button", name="Go on").click()
    expect(stranger.get_by_role("alert")).to_be_visible()
    found += audit_shown(stranger, "a wrong recovery code")
    assert not found, "\n".join(found)


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@contextmanager
def authenticator(page: Page) -> Generator[None]:
    """An authenticator built into the device of `page`, whose owner confirms everything."""
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield
    device.send("WebAuthn.disable")
