"""A plan that requires a second factor: who has none reaches its enrolment, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from account_holders import Person, Window, Workspace
from factor_holders import SoftPasskey, enrol_app, options, origin_of

from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import enrolment, guard
from strongroom.platform.web.permissions import Role

Portal = Any  # the fixture's class, in conftest.py
REQUIRED = "/settings/security/required"
OPEN = {  # all that answers before there is one
    *("factors.required", "factors.begin_app", "factors.app", "factors.confirm_app"),
    *("factors.new_passkey", "factors.passkey_options", "factors.add_passkey"),
    *("proving.step_up", "proving.step_up_now", "proving.step_up_options", "proving.kept_form", "access.sign_out"),
}


@pytest.fixture(scope="module")
def team(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Workspace:
    return Workspace(portal.platform, portal.app, tenant_factory(name="Own", plan="team"))


def reached(window: Window, portal: Portal) -> set[str]:
    """The endpoints of pages that answer this browser, of those without parameters."""
    found: set[str] = set()
    for rule in portal.app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments and guard.need_of(portal.app, rule.endpoint):
            answer = window.get(rule.rule)
            if answer.status_code not in (403, 404) and answer.location != REQUIRED:
                found.add(rule.endpoint)
    return found


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_owners_and_admins_reach_only_the_enrolment(team: Workspace, portal: Portal, role: Role) -> None:
    window = team.join(role).sign_in()
    assert reached(window, portal) == {"factors.required", "factors.app", "factors.new_passkey", "proving.step_up"} | {
        "proving.kept_form"
    }
    assert window.get("/", **{"HX-Request": "true"}).headers["HX-Redirect"] == REQUIRED
    page = window.get(REQUIRED).text
    assert f"You are an {role.label} of Own" in page


def test_nothing_else_is_open_before(portal: Portal) -> None:
    views = portal.app.view_functions
    assert {endpoint for endpoint, view in views.items() if getattr(view, enrolment.OPEN, False)} == OPEN


def test_a_form_is_not_taken_before_either(team: Workspace) -> None:
    window = team.join(Role.OWNER).sign_in()
    assert window.post("/settings/profile", {"name": "Other"}, form=REQUIRED).location == REQUIRED
    assert window.post("/sign-out", form=REQUIRED).location == "/sign-in"


@pytest.mark.parametrize("role", [Role.MEMBER, Role.CONTRIBUTOR, Role.READ_ONLY])
def test_others_are_asked_nothing(team: Workspace, role: Role) -> None:
    assert team.join(role).sign_in().get("/").status_code == 200


def test_with_an_app_everything_is_reached(team: Workspace) -> None:
    olga = team.join(Role.OWNER)
    window = olga.sign_in()
    enrol_app(olga)
    assert window.get("/").status_code == 200
    assert window.get(REQUIRED).location == "/settings/security"


def test_a_passkey_will_do(team: Workspace) -> None:
    olga = team.join(Role.OWNER)
    window = olga.sign_in()
    passkey, page = SoftPasskey(), "/settings/security/passkeys/new"
    answer = passkey.create(options(window, "/settings/security/passkeys/options", page), origin_of(olga))
    window.post("/settings/security/passkeys", {"credential": answer, "name": "Soft"}, form=page)
    assert window.get("/").status_code == 200


def test_who_removes_the_last_one_is_asked_again(team: Workspace) -> None:
    olga = team.join(Role.OWNER)
    window = olga.sign_in()
    enrol_app(olga)
    window.post("/settings/security/app/remove", form="/settings/security")
    assert window.get("/").location == REQUIRED


def test_the_other_plans_require_none(portal: Portal, tenant_factory: Callable[..., Tenant]) -> None:
    own = Workspace(portal.platform, portal.app, tenant_factory(name="Own"))
    olga: Person = own.join(Role.OWNER)
    assert olga.sign_in().get("/").status_code == 200
