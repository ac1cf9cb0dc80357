"""Forms that another origin's page sends, with the member's own cookies and even the form's token."""

from typing import Any

import pytest
from sqlalchemy import select

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables

Portal = Any  # the fixture's class, in conftest.py


def send(browser: Any, headers: dict[str, str], **fields: str) -> Any:
    data = {"csrf_token": browser.token("/settings/profile"), "name": "Somebody Else", **fields}
    return browser.client.post("/settings/profile", data=data, base_url=browser.base, headers=headers)


@pytest.mark.parametrize("site", ["same-site", "cross-site", "none"])
def test_a_form_that_another_origin_sends_changes_nothing(portal: Portal, site: str) -> None:
    browser = portal.signed_in(Role.MEMBER, "birch")
    answer = send(browser, {"Sec-Fetch-Site": site, "Origin": browser.base, "Referer": f"{browser.base}/"})
    assert answer.status_code == 400
    assert "came from another page" in answer.text
    assert "Somebody Else" not in browser.get("/settings/profile").text


def test_without_that_header_its_origin_gives_it_away(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER, "birch")
    sister = f"https://{portal.host('acme')}"
    for headers in ({"Origin": sister, "Referer": f"{browser.base}/"}, {"Referer": f"{sister}/"}, {"Origin": "null"}):
        assert send(browser, headers).status_code == 400


def test_the_page_itself_may(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER, "birch")
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": browser.base, "Referer": f"{browser.base}/"}
    assert send(browser, headers, name="The Member").status_code == 303


def test_a_right_token_does_not_help_and_the_workspace_notes_it(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER, "cedar")
    send(browser, {"Sec-Fetch-Site": "same-site", "Origin": browser.base, "Referer": f"{browser.base}/"})
    with portal.database("cedar") as conn:
        actions = conn.execute(select(tables.audit_event.c.action)).scalars().all()
    assert "security.forged_form" in actions


def test_links_from_elsewhere_lead_in(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER, "birch")
    for site in ("same-site", "cross-site", "none"):
        assert browser.get("/expenses", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_the_check_stands_before_every_view_that_changes_something(portal: Portal) -> None:
    client = portal.client().client
    for app, host in ((portal.app, portal.host("acme")), (portal.app.extensions["strongroom_site"], "localhost")):
        for rule in app.url_map.iter_rules():
            for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
                path = rule.rule.split("<")[0]
                headers = {"Sec-Fetch-Site": "same-site"}
                answer = client.open(path, method=method, base_url=f"https://{host}", headers=headers)
                assert answer.status_code in {400, 404, 405}, (rule.rule, answer.status_code)
