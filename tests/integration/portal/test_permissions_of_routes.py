"""Every route of the portal against every role, from the application's own map of addresses."""

import re
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.routing import Rule

from strongroom.platform.web import guard
from strongroom.platform.web.permissions import Permission, Role, allowed, public, requires

Portal = Any  # the class is in visitors.py


def test_every_route_answers_to_exactly_the_roles_of_the_table(portal: Portal) -> None:
    wrong: list[str] = []
    browsers = {role: portal.signed_in(role) for role in Role}
    for rule, method in routes(portal.app):
        need = guard.need_of(portal.app, rule.endpoint)
        if need is None or rule.endpoint == "access.sign_out":
            continue
        for role, browser in browsers.items():
            status = ask(browser, rule, method)
            if (status == 403) == allowed(role, need):
                wrong.append(f"{role} {method} {rule.rule} ({need.name}): {status}")
    assert not wrong, "\n".join(wrong)


def test_without_a_session_no_route_that_needs_one_answers(portal: Portal) -> None:
    browser = portal.client()
    for rule, method in routes(portal.app):
        need = guard.need_of(portal.app, rule.endpoint)
        if need is not None:
            assert ask(browser, rule, method) in (303, 401), rule.rule


def test_only_these_routes_need_no_session(portal: Portal) -> None:
    open_routes = {rule.endpoint for rule, _ in routes(portal.app) if guard.need_of(portal.app, rule.endpoint) is None}
    assert open_routes == {
        "assets.send",
        "access.sign_in",
        "access.sign_in_now",
        "access.invitation",
        "access.accept_invitation",
        "recovery.ask",
        "recovery.ask_now",
        "recovery.ask_to_unlock",
        "recovery.reset",
        "recovery.reset_now",
        "recovery.unlock",
        "recovery.unlock_now",
        "alerts.not_me",
        "alerts.confirm_not_me",
        "csp_reports.take",
        "proving.second",
        "proving.second_now",
        "proving.second_options",
        "proving.passkey_options",
        "proving.passkey_sign_in",
        "cardfeed.receive",
    }


def test_there_are_no_other_methods(portal: Portal) -> None:
    methods = {method for rule in portal.app.url_map.iter_rules() for method in rule.methods or ()}
    assert methods == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_route_that_declares_nothing_keeps_the_application_from_starting() -> None:
    app = Flask("forgetful", static_folder=None)
    app.add_url_rule("/forgotten", "forgotten", lambda: "everything")
    with pytest.raises(LookupError, match="forgotten"):
        guard.check_declared(app)


def test_the_public_site_cannot_ask_for_a_permission() -> None:
    app = Flask("site", static_folder=None)
    app.add_url_rule("/free", "free", public(lambda: "yes"))
    guard.check_all_public(app)
    app.add_url_rule("/closed", "closed", requires(Permission.USE)(lambda: "no"))
    with pytest.raises(LookupError, match="closed"):
        guard.check_all_public(app)


def routes(app: Flask) -> list[tuple[Rule, str]]:
    rules = app.url_map.iter_rules()
    return [(rule, method) for rule in rules for method in sorted(rule.methods or ()) if method in {"GET", "POST"}]


def ask(browser: Any, rule: Rule, method: str) -> int:
    """The status of the route for ids that exist nowhere: what is permitted is then not found, or not valid."""
    path = re.sub(r"<uuid:[^>]+>", str(uuid4()), rule.rule)
    path = re.sub(r"<(int:)?[^>]+>", "1", path)
    if method == "GET":
        return browser.get(path).status_code
    return browser.post(path, {}, form=a_form_of(browser)).status_code


def a_form_of(browser: Any) -> str:
    return "/members" if browser.cookie("__Host-session") else "/sign-in"
