"""Every error under /api is a problem document, whatever is wrong and wherever it happens."""

from collections.abc import Callable
from typing import Any

import pytest
from api_client import Office, api_of, open_office
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from strongroom.config.errors import UnavailableError
from strongroom.platform.api import gate, throttle
from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.platform.web.permissions import Permission
from strongroom.tenant_schema.tables import audit_event

ME, EXPENSES = "/api/v1/me", "/api/v1/expenses"


@pytest.fixture(scope="module")
def office(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Office:
    return open_office(platform, tenant_factory)


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The document, after the looks that every one of them has to stand."""
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.text
    found = answer.json
    assert (found["status"], found["type"]) == (status, "about:blank")
    assert found["title"]
    assert found["detail"].endswith(".")
    assert "Set-Cookie" not in answer.headers
    assert "Strict-Transport-Security" in answer.headers
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
    return found


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v2/expenses", "/api/v1/expenses/x", "/api/static/x"]
)
def test_an_address_that_is_none(office: Office, path: str) -> None:
    problem(office.program().get(path), 404)
    problem(office.stranger().get(path), 404)


@pytest.mark.parametrize("host", ["localhost", "nobody.localhost", "elsewhere.example", "a" * 300, "[::1"])
def test_a_host_that_is_no_workspace(office: Office, host: str) -> None:
    problem(office.program().get(ME, headers={"Host": host}), 404)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_the_address_does_not_have(office: Office, method: str) -> None:
    answer = office.program().call(method, EXPENSES)
    problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118


def test_without_a_token_the_answer_says_how_to_send_one(office: Office) -> None:
    for method, path in (("GET", ME), ("POST", EXPENSES), ("DELETE", f"{EXPENSES}/{office.tenant.slug}")):
        answer = office.stranger().call(method, path)
        if "expenses/" not in path:
            problem(answer, 401)
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Strongroom API"'


def test_a_scope_that_is_missing_is_named(office: Office) -> None:
    answer = office.program(scopes=["expenses:read"]).post(EXPENSES, office.expense())
    assert "expenses:write" in problem(answer, 403)["detail"]
    assert "error=insufficient_scope" in answer.headers["WWW-Authenticate"]
    assert 'scope="expenses:write"' in answer.headers["WWW-Authenticate"]


def test_a_scope_that_is_missing_is_in_the_audit_log(office: Office) -> None:
    office.program(scopes=["expenses:read"]).post(EXPENSES, office.expense())
    event = audit_event.c
    with office.database() as conn:
        noted = conn.execute(select(event.detail, event.actor_id).where(event.action == "access.refused")).all()
    assert {row.detail["route"] for row in noted} == {"expenses.create"}
    assert all(row.actor_id for row in noted)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"data": b"\xff", "content_type": "application/json"}, 400),
        ({"data": b"[" * 100_000, "content_type": "application/json"}, 400),
        ({"data": b'{"amount": ' + b"9" * 5000 + b"}", "content_type": "application/json"}, 400),
        ({"data": b'{"a":' * 20_000, "content_type": "application/json"}, 400),
        ({"data": b" " * 300_000, "content_type": "application/json"}, 413),
        ({"data": b"merchant=x", "content_type": "application/x-www-form-urlencoded"}, 415),
        ({"data": b"{}", "content_type": "text/plain"}, 415),
        ({"data": b"", "content_type": "application/json"}, 400),
        ({"json": []}, 422),
        ({"data": b"null", "content_type": "application/json"}, 422),
        ({"json": "x"}, 422),
        ({"json": {"merchant": {"deep": [1]}}}, 422),
    ],
)
def test_a_body_that_cannot_be_read(office: Office, sent: dict[str, Any], status: int) -> None:
    problem(office.program().call("POST", EXPENSES, **sent), status)


def test_a_body_of_a_thousand_unknown_fields_is_answered_briefly(office: Office) -> None:
    answer = office.program().post(EXPENSES, {f"field{n}": n for n in range(10_000)})
    found = problem(answer, 422)
    assert len(found["errors"]) <= 50


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("secret detail"), 500),
        (UnavailableError("Busy.", 7), 503),
        (OperationalError("SELECT secret", {}, Exception()), 503),
    ],
)
def test_an_error_on_our_side_tells_nothing_but_a_reference(
    office: Office, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(_query: object = None) -> None:
        raise error

    monkeypatch.setitem(api_of(office.app).view_functions, "workspace.me", gate.asks(Permission.USE, None)(fail))
    answer = office.program().get(ME)
    found = problem(answer, status)
    assert len(found["reference"]) == 8
    assert "secret" not in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_suspended_workspace_says_so(platform: Platform, tenant_factory: Callable[..., Tenant]) -> None:
    office = open_office(platform, tenant_factory)
    program = office.program()
    with platform.control.begin() as conn:
        tenants.set_state(conn, office.tenant.id, TenantState.SUSPENDED)
    platform.registry.forget(office.tenant)
    problem(program.get(ME), 403)


def test_one_token_may_call_so_often_in_a_minute_and_no_other_pays_for_it(office: Office) -> None:
    greedy, other = office.program(), office.program()
    limiter = api_of(office.app).extensions[throttle.EXTENSION]
    for _ in range(throttle.PER_MINUTE // office.platform.settings.web_workers):
        limiter.hit(str(greedy.token_id))
    answer = greedy.get(ME)
    problem(answer, 429)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert other.get(ME).status_code == 200


def test_the_processes_of_a_machine_share_what_a_token_may_call() -> None:
    app_of_four = throttle.Throttle(4)
    for _ in range(throttle.PER_MINUTE // 4):
        app_of_four.hit("one")
    with pytest.raises(Exception, match="429"):
        app_of_four.hit("one")


def test_wrong_tokens_are_counted(office: Office) -> None:
    stranger = office.stranger()
    stranger.token = "srt_wrong"
    statuses = [stranger.get(ME).status_code for _ in range(35)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert office.program().get(ME).status_code == 200  # a right one from the same address
