"""An Owner connects the workspace with other systems: a webhook with its key and log, a card feed with a card."""

import json
import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect
from sample_data import Workspace
from watched_browser import DESKTOP, PHONE, Visitors

from strongroom.platform.web.permissions import Role
from strongroom.platform.webhooks.signature import check_secret, sign


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_webhook_from_its_address_to_its_log(visitors: Visitors, workspace: Workspace, size: tuple[int, int]) -> None:
    page = visitors.member(workspace, Role.OWNER, "/settings/webhooks", size=size)
    page.get_by_role("link", name="Add a webhook").click()
    page.get_by_label("Address").fill("https://nowhere.invalid/strongroom")
    page.get_by_label("report.paid").uncheck()
    page.get_by_role("button", name="Add the webhook").click()
    check_secret(page.get_by_label("Signing key").input_value())
    page.get_by_role("link", name="I have stored it").click()
    expect(page.get_by_text("11 events")).to_be_visible()
    page.get_by_role("button", name="Send a test").click()
    # The worker tries at once, and the page shows it without being loaded again.
    # If it has tried again meanwhile, there are two.
    expect(page.get_by_text(re.compile("no address|No answer in time")).first).to_be_visible(timeout=120_000)
    expect(page.get_by_text('"webhook.test"')).to_be_visible()
    page.get_by_role("link", name=re.compile("nowhere")).click()
    expect(page.get_by_role("button", name="New key")).to_be_visible()
    page.wait_for_load_state()  # a script opens the dialogs
    page.get_by_role("button", name="New key").click()
    page.get_by_role("button", name="Make a new key").click()
    expect(page.get_by_text("Until", exact=False).first).to_be_visible()
    page.get_by_role("link", name="I have stored it").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.wait_for_load_state()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete the webhook").click()
    expect(page.get_by_role("heading", name="Let your own systems know")).to_be_visible()


def test_a_card_payment_becomes_the_holder_s_draft(visitors: Visitors, workspace: Workspace) -> None:
    page = visitors.member(workspace, Role.OWNER, "/settings/cards")
    page.get_by_role("button", name="Start the card feed").click()
    key, address = page.get_by_label("Signing key").input_value(), page.get_by_label("Address").input_value()
    page.get_by_role("link", name="I have stored it").click()
    page.get_by_label("Holder").select_option(label="Mina Farouk")
    page.get_by_label("Token").fill("card_81Hk2")
    page.get_by_label("Last four digits").fill("4242")
    page.get_by_role("button", name="Add the card").click()
    expect(page.get_by_text("•••• 4242")).to_be_visible()
    assert pay(page, address, key) == 202
    expect(_reloaded(page).get_by_role("link", name="Draft")).to_be_visible()
    page.get_by_role("link", name="Draft").click()
    expect(page.get_by_text("Strongroom entered this expense from a card payment")).to_be_visible()


def pay(page: Page, address: str, key: str) -> int:
    """Send a payment, as the card processor would; the browser only carries it."""
    data = {"card": "card_81Hk2", "amount": "12.50", "currency": "GBP", "merchant": "Corner Café", "date": "2024-03-12"}
    body = json.dumps({"type": "transaction.created", "data": data})
    headers = sign([key], "txn_1", datetime.now(UTC), body)
    send = "async ([url, headers, body]) => (await fetch(url, { method: 'POST', headers, body })).status"
    return page.evaluate(send, [address, headers, body])


def _reloaded(page: Page) -> Page:
    """The page once the worker has looked at the payment."""
    for _ in range(400):
        page.reload()
        if page.get_by_role("link", name="Draft").count():
            break
        page.wait_for_timeout(250)
    return page
