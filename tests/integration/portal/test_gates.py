"""What stands before the pages: the state of the workspace, and the size of what is sent."""

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from strongroom.platform.control.platform import open_platform
from strongroom.platform.tenants import queries
from strongroom.platform.tenants.states import TenantState
from strongroom.platform.web import tenant
from strongroom.platform.web.app import create_app
from strongroom.platform.web.permissions import Permission, Role, public, requires
from strongroom.tenant_schema.queries import settings

Portal = Any  # the class is in visitors.py


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [(TenantState.SUSPENDED, 403, "This workspace is suspended"), (TenantState.RESTORING, 503, "Busy right now")],
)
def test_a_workspace_that_is_not_active_says_so(portal: Portal, state: TenantState, status: int, words: str) -> None:
    browser, acme = portal.signed_in(Role.OWNER), portal.workspaces["acme"]
    set_state(portal, state)
    try:
        answer = browser.get("/members")
        assert answer.status_code == status
        assert words in answer.text
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert acme.name not in answer.text
    finally:
        set_state(portal, TenantState.ACTIVE)
    assert browser.get("/members").status_code == 200


def test_while_every_connection_to_the_control_database_is_in_use_the_site_says_when_to_return(portal: Portal) -> None:
    settings = replace(portal.platform.settings, checkout_timeout=0.1)
    with open_platform(settings) as busy, ExitStack() as held:
        with suppress(PoolTimeoutError):
            while True:
                held.enter_context(busy.control.connect())
        answer = create_app(busy).test_client().get("/workspace?name=acme", base_url="https://localhost")
    assert (answer.status_code, "Busy right now" in answer.text) == (503, True)
    assert int(answer.headers["Retry-After"]) > 0


def test_more_than_an_upload_may_have_is_refused(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    answer = browser.client.post(
        "/members/invite",
        base_url=browser.base,
        data=b"x" * (25 * 1024 * 1024 + 1),
        content_type="multipart/form-data; boundary=parts",
    )
    assert answer.status_code == 413
    assert "too large" in answer.text


@pytest.mark.parametrize(("status", "kept"), [(200, "USD"), (303, "USD"), (409, "GBP"), (500, "GBP")])
def test_only_a_success_is_kept(portal: Portal, monkeypatch: pytest.MonkeyPatch, status: int, kept: str) -> None:
    def view() -> tuple[str, int]:
        settings.put(tenant.connection(), settings.BASE_CURRENCY, "USD")
        return "", status

    monkeypatch.setitem(portal.app.view_functions, "members.index", requires(Permission.USE)(view))
    assert portal.signed_in(Role.OWNER).get("/members").status_code == status
    with portal.database() as conn:
        assert settings.base_currency(conn) == kept
        settings.put(conn, settings.BASE_CURRENCY, "GBP")


def test_a_fragment_is_answered_with_a_message_and_not_a_page(portal: Portal) -> None:
    answer = portal.signed_in(Role.OWNER).get("/nothing", headers={"HX-Request": "true"})
    assert answer.status_code == 404
    assert answer.headers["HX-Retarget"] == "#toasts"
    assert "<html" not in answer.text


def test_a_fragment_without_a_session_sends_the_page_to_sign_in(portal: Portal) -> None:
    answer = portal.client().get("/members", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"].startswith("/sign-in")


def set_state(portal: Portal, state: TenantState) -> None:
    acme = portal.workspaces["acme"]
    with portal.platform.control.begin() as conn:
        queries.set_state(conn, acme.id, state)
    portal.platform.registry.forget(acme)


@pytest.mark.parametrize("ending", [409, "an error"])
def test_a_session_that_is_lost_before_the_roll_back_does_not_hide_how_the_request_ended(
    portal: Portal, ending: int | str
) -> None:
    app = create_app(portal.platform)

    def lose() -> tuple[str, int]:
        session = tenant.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with portal.database() as another:
            another.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (session,))
        if isinstance(ending, str):
            raise KeyboardInterrupt(ending)
        return "refused", ending

    app.add_url_rule("/lose", "lose", public(lose))
    client, base = app.test_client(), f"https://{portal.host('acme')}"
    if isinstance(ending, str):
        with pytest.raises(KeyboardInterrupt):
            client.get("/lose", base_url=base)
    else:
        assert client.get("/lose", base_url=base).status_code == ending
    assert client.get("/sign-in", base_url=base).status_code == 200
