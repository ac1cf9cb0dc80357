"""The two ways to a new workspace: the operator makes one and hands over a link; somebody signs up in public."""

import re
import ssl
import time
from urllib.parse import urlsplit

from live_service import LiveService
from playwright.sync_api import Page, expect
from sample_data import PASSWORD
from watched_browser import Visitors, sign_in

from strongroom.platform.tenants.ids import new_id
from strongroom.platform.web.tls import tls_files


def accept(page: Page, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Join the workspace").click()
    expect(page.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
    expect(page.locator(".sidebar-member")).to_contain_text("Owner")


def test_the_operator_creates_a_workspace_and_its_owner_signs_in(service: LiveService, visitors: Visitors) -> None:
    slug = f"made-{new_id()}"
    said = service.cli("tenant", "create", slug, "--name", "Fenwick Foods", "--owner", "nora@fenwick.example", "--wait")
    link = re.search(r"https://\S+/invitation/\S+", said)
    assert link, said
    page = visitors.stranger(link[0])
    expect(page.get_by_text("nora@fenwick.example")).to_be_visible()
    accept(page, "Nora Fenwick")
    expect(page.locator(".workspace-name")).to_have_text("Fenwick Foods")
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, "nora@fenwick.example")
    expect(page.locator(".sidebar-member")).to_contain_text("Nora Fenwick")


def test_signing_up_leads_to_a_ready_workspace(service: LiveService, visitors: Visitors) -> None:
    page = visitors.stranger(service.url())
    page.get_by_role("link", name="Start a workspace").first.click()
    slug = f"juniper-{new_id()[:6]}"
    expect(page.get_by_label("Company or team")).to_be_visible()
    page.wait_for_load_state()  # a script makes the address
    page.get_by_label("Company or team").fill("Juniper & Co")
    expect(page.locator("#slug")).to_have_value("juniper-co")
    page.get_by_label("Address").fill(slug)
    expect(page.get_by_text("is free")).to_be_visible()
    page.get_by_label("Your e-mail").fill("juno@juniper.example")
    page.get_by_role("button", name="Start the workspace").click()
    expect(page.get_by_role("heading", name="Juniper & Co is ready")).to_be_visible(timeout=120_000)
    page.get_by_role("link", name="Choose a password").click()
    accept(page, "Juno Adeyemi")
    assert urlsplit(page.url).hostname == f"{slug}.localhost"
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    certified_within(service, f"{slug}.localhost", 120)


def certified_within(service: LiveService, host: str, seconds: float) -> None:
    """Wait until the server's certificate is good for `host`, for somebody who trusts the local authority."""
    trusting = ssl.create_default_context(cafile=str(tls_files(service.settings).authority))
    deadline = time.monotonic() + seconds
    while True:
        try:
            with service.connection() as plain, trusting.wrap_socket(plain, server_hostname=host):
                return
        except OSError:
            assert time.monotonic() < deadline, f"no certificate for {host}"
            time.sleep(0.2)
