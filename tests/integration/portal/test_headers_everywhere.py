"""Every response of every route carries the headers, whoever asks; personal pages are kept nowhere."""

import re
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from strongroom.platform.web import security
from strongroom.platform.web.permissions import Role

Portal = Any  # the fixture's class, in conftest.py
MAY_BE_KEPT = {"assets.send"}
PARAMETER = re.compile(r"<(?:[a-z]+:)?\w+>")
POWERFUL = ("geolocation", "microphone", "payment", "usb", "browsing-topics", "display-capture")


def answers(app: Flask, browser: Any) -> list[tuple[str, str, Any]]:
    """What each route answers to each method, its own ones and one that it does not have."""
    found: list[tuple[str, str, Any]] = []
    for rule in app.url_map.iter_rules():
        path = PARAMETER.sub(str(uuid4()), rule.rule)
        for method in sorted((rule.methods or set()) | {"PUT"}):
            headers = {"Sec-Fetch-Site": "same-origin", "Accept-Encoding": "gzip"}
            answer = browser.client.open(path, method=method, base_url=browser.base, headers=headers)
            found.append((f"{method} {path}", rule.endpoint, answer))
    return found


def lacking(endpoint: str, answer: Any) -> list[str]:
    headers = answer.headers
    wrong = [name for name in security.FIXED if name not in headers]
    wrong += [name for name in ("Content-Security-Policy",) if name not in headers]
    if headers.get("Strict-Transport-Security") != security.HSTS:
        wrong.append("another HSTS")
    if endpoint not in MAY_BE_KEPT and headers.get("Cache-Control") != "no-store":
        wrong.append(f"Cache-Control: {headers.get('Cache-Control')}")
    if "unsafe" in headers.get("Content-Security-Policy", ""):
        wrong.append("a lax policy")
    return wrong


@pytest.mark.parametrize("who", ["stranger", "owner"])
def test_every_route_of_a_workspace(portal: Portal, who: str) -> None:
    browser = portal.signed_in(Role.OWNER, "rowan") if who == "owner" else portal.client("rowan")
    wrong: list[str] = []
    for name, endpoint, answer in answers(portal.app, browser):
        if endpoint == "access.sign_out" and who == "owner":
            browser = portal.signed_in(Role.OWNER, "rowan")
        if missing := lacking(endpoint, answer):
            wrong.append(f"{name} {answer.status_code}: {missing}")
    assert not wrong, "\n".join(wrong)


def test_every_route_of_the_public_site(portal: Portal) -> None:
    site = portal.app.extensions["strongroom_site"]
    wrong = {name: lacking(endpoint, answer) for name, endpoint, answer in answers(site, portal.client(None))}
    assert not {name: missing for name, missing in wrong.items() if missing}


def test_an_endless_stream_of_tries_is_answered_with_them_too(portal: Portal) -> None:
    browser = portal.client()
    tries = (browser.post_bare("/csp-report", {"x": "y"}) for _ in range(40))
    answer = next(one for one in tries if one.status_code == 429)
    assert not lacking("csp_reports.take", answer)
    assert int(answer.headers["Retry-After"]) > 0


def test_powerful_features_are_off(portal: Portal) -> None:
    rules = portal.client().get("/sign-in").headers["Permissions-Policy"].split(", ")
    assert {f"{name}=()" for name in POWERFUL} <= set(rules)
    assert "camera=(self)" in rules


def test_signing_out_clears_what_the_browser_keeps_of_the_pages(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    assert "Clear-Site-Data" not in browser.get("/").headers
    assert browser.post("/sign-out", form="/settings/profile").headers["Clear-Site-Data"] == '"cache"'
