"""Attacks on the API: tokens that do not count, scopes and roles too small, cookies, foreign ids, large bodies."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from api_client import EVERYTHING, Office, Program, api_of, email_of, open_office
from sqlalchemy import select, update
from werkzeug.routing import Rule

from strongroom.platform.api import gate, tokens
from strongroom.platform.api.scopes import ApiScope
from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import guard, refusals
from strongroom.platform.web.permissions import Permission, Role, allowed
from strongroom.platform.web.redirect import redirect_app
from strongroom.tenant_schema.queries import api_tokens, members
from strongroom.tenant_schema.tables import api_token, audit_event, expense, permission_use

EXPENSES = "/api/v1/expenses"
NO_FORMS = {"csp_reports.take", "cardfeed.receive"}  # they change nothing for whoever is signed in


@pytest.fixture(scope="module")
def office(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Office:
    return open_office(platform, tenant_factory)


@pytest.fixture(scope="module")
def other(platform: Platform, tenant_factory: Callable[..., Tenant], office: Office) -> Office:
    return open_office(platform, tenant_factory, office.app)


def operations(office: Office) -> list[tuple[Rule, str]]:
    """Every route of the API that needs a token, by method."""
    app = api_of(office.app)
    rules = [rule for rule in app.url_map.iter_rules() if guard.need_of(app, rule.endpoint) is not None]
    return [(rule, method) for rule in rules for method in sorted((rule.methods or set()) - {"HEAD"})]


def address(rule: Rule, value: object = None) -> str:
    return re.sub(r"<uuid:[^>]+>", str(value or uuid4()), rule.rule)


def everywhere(office: Office, program: Program, **arguments: Any) -> dict[str, int]:
    """The statuses of all operations."""
    return {
        f"{m} {rule.rule}": program.call(m, address(rule), **arguments).status_code for rule, m in operations(office)
    }


def signs(office: Office) -> list[str]:
    with office.database() as conn:
        told = select(audit_event.c.action).where(audit_event.c.action.like("security.%"))
        return list(conn.scalars(told.order_by(audit_event.c.id)))


def test_a_token_of_a_counts_nowhere_at_b_and_is_noted_there(office: Office, other: Office) -> None:
    thief = Program(other.app, other.base, office.program().token)
    assert set(everywhere(other, thief).values()) <= {401, 429}
    assert refusals.UNKNOWN_TOKEN in signs(other)
    assert refusals.UNKNOWN_TOKEN not in signs(office)


def test_a_token_that_was_revoked_has_expired_or_lost_its_member_counts_nowhere(office: Office) -> None:
    revoked, expired = office.program(), office.program(good_for=timedelta(seconds=-1))
    with office.database() as conn:
        assert api_tokens.revoke(conn, revoked.token_id)
    removed = office.program(Role.READ_ONLY)
    with office.database() as conn:
        members.set_state(conn, office.people[Role.READ_ONLY], "removed")
    before = signs(office)
    for program in (revoked, expired, removed):
        answer = program.get("/api/v1/me")
        assert answer.status_code == 401
        assert "error=invalid_token" in answer.headers["WWW-Authenticate"]
    assert signs(office) == before  # each was made here once
    with office.database() as conn:
        members.set_state(conn, office.people[Role.READ_ONLY], "active")


def test_all_tokens_of_a_member_end_at_once(office: Office) -> None:
    mine, also_mine, theirs = office.program(Role.ADMIN), office.program(Role.ADMIN), office.program(Role.OWNER)
    with office.database() as conn:
        assert api_tokens.revoke_all(conn, office.people[Role.ADMIN]) >= 2
    assert [one.get("/api/v1/me").status_code for one in (mine, also_mine, theirs)] == [401, 401, 200]


def test_it_expires_to_the_second(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    program, end = office.program(), datetime(2030, 1, 1, tzinfo=UTC)
    with office.database() as conn:
        conn.execute(update(api_token).where(api_token.c.id == program.token_id).values(expires_at=end))
    for at, status in ((end - timedelta(seconds=1), 200), (end, 401), (end + timedelta(seconds=1), 401)):

        class Frozen(datetime):
            @classmethod
            def now(cls, tz: Any = None, *, at: datetime = at) -> datetime:  # noqa: ARG003
                return at

        monkeypatch.setattr(gate, "datetime", Frozen)
        assert program.get("/api/v1/me").status_code == status


def test_no_operation_answers_without_its_scope(office: Office) -> None:
    app = api_of(office.app)
    for rule, method in operations(office):
        scope = gate.scope_of(app, rule.endpoint)
        if scope is None:
            assert rule.rule == "/api/v1/me"
            continue
        every_other = [one for one in EVERYTHING if one != scope]
        answer = office.program(scopes=every_other).call(method, address(rule))
        assert (answer.status_code, scope in answer.json["detail"]) == (403, True), rule.rule


def test_every_route_against_every_role(office: Office) -> None:
    app = api_of(office.app)
    for role in Role:
        program = office.program(role)
        for rule, method in operations(office):
            status = program.call(method, address(rule)).status_code
            may = allowed(role, guard.need_of(app, rule.endpoint))
            assert (status == 403) != may, f"{role} {method} {rule.rule}: {status}"


def test_where_the_plan_asks_for_a_second_factor_a_token_of_who_has_none_may_nothing(
    office: Office, platform: Platform, tenant_factory: Callable[..., Tenant]
) -> None:
    def team() -> Tenant:
        return tenant_factory(plan="team")

    strict = open_office(platform, team, office.app)
    for role in (Role.OWNER, Role.ADMIN):
        answer = strict.program(role).get("/api/v1/me")
        assert (answer.status_code, "second factor" in answer.json["detail"]) == (403, True)
    assert strict.program(Role.MEMBER).get("/api/v1/me").status_code == 200


def test_what_a_token_uses_counts_as_used_by_its_member(office: Office) -> None:
    office.program(Role.READ_ONLY).get(EXPENSES)
    with office.database() as conn:
        used = select(permission_use.c.permission).where(permission_use.c.member_id == office.people[Role.READ_ONLY])
        assert Permission.SEE in set(conn.scalars(used))


def test_a_token_with_words_that_are_no_scopes_may_nothing(office: Office) -> None:
    for scopes in (["*"], ["expenses"], ["expenses:*"], ["EXPENSES:READ"], []):
        assert office.program(scopes=scopes).get(EXPENSES).status_code == 403


def test_a_session_is_nothing_to_the_api_and_a_token_nothing_to_the_pages(office: Office) -> None:
    browser = office.app.test_client()
    page = browser.get("/sign-in", base_url=office.base).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    form = {"email": email_of(Role.OWNER), "password": "correct horse battery", "csrf_token": token[1]}
    headers = {"Referer": f"{office.base}/"}
    assert browser.post("/sign-in", data=form, base_url=office.base, headers=headers).status_code == 303
    assert browser.get("/expenses", base_url=office.base).status_code == 200
    for rule, method in operations(office):
        answer = browser.open(address(rule), method=method, base_url=office.base, headers=headers)
        assert answer.status_code == 401, rule.rule
    program = office.program()
    for path in ("/expenses", "/", "/settings/tokens", "/expenses/"):
        assert program.get(path).status_code in (303, 401, 404), path


def test_pages_want_their_form_token_also_beside_a_token_of_the_api(office: Office) -> None:
    program = office.program()
    for rule in office.app.url_map.iter_rules():
        if "POST" not in (rule.methods or set()) or rule.endpoint in NO_FORMS:
            continue
        answer = program.post(address(rule), headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, rule.rule
        assert "Idempotent" not in str(answer.headers)
    for path in (
        "//api/v1/expenses",
        "/API/v1/expenses",
        "/x/../api/v1/expenses",
        "/expenses/new/../../api/v1/expenses",
    ):
        assert program.post(path, office.expense()).status_code in (400, 404, 405), path


@pytest.mark.parametrize(
    "where",
    [
        {"query_string": {"access_token": "{token}"}},
        {"query_string": {"token": "{token}"}},
        {"headers": {"X-Api-Key": "{token}"}},
        {"headers": {"Authorization": "{token}"}},
        {"headers": {"Authorization": "Token {token}"}},
        {"headers": {"Authorization": "Basic {token}"}},
        {"headers": {"Authorization": "Bearer {token}x"}},
        {"headers": {"Authorization": "Bearer {token}, Bearer {token}"}},
        {"headers": {"Cookie": "token={token}; __Host-session={token}; remember_token={token}"}},
    ],
)
def test_a_token_anywhere_else_is_not_looked_at(office: Office, where: dict[str, dict[str, str]]) -> None:
    token = office.program().token
    sent = {kind: {name: text.replace("{token}", token) for name, text in of.items()} for kind, of in where.items()}
    assert office.stranger().get("/api/v1/me", **sent).status_code == 401


def test_what_is_no_token_costs_the_database_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_arguments: object) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(api_tokens, "live", look)
    real = tokens.make()
    wrong_check = real[:-1] + ("a" if real[-1] != "a" else "b")
    for text in ("", "x", "srt_", "srt_" + "a" * 50, wrong_check, real + "a", "\N{KELVIN SIGN}" * 50):
        stranger = office.stranger()
        answer = stranger.get("/api/v1/me", headers={"Authorization": f"Bearer {text}".encode().decode("latin-1")})
        assert answer.status_code == 401


def test_over_plain_http_a_token_is_refused_and_not_sent_on(office: Office) -> None:
    said = dict[str, Any]()

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        said.update(status=status, headers=dict(headers))

    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": EXPENSES, "HTTP_HOST": f"{office.tenant.slug}.localhost"}
    redirect_app(office.platform.settings)(environ, start)
    assert said["status"].startswith("403")
    assert "Location" not in said["headers"]


def test_ids_of_another_workspace_are_not_there(office: Office, other: Office) -> None:
    theirs = office.program()
    draft = theirs.post(EXPENSES, office.expense()).json
    report = theirs.post("/api/v1/reports", {"expense_ids": [theirs.post(EXPENSES, office.expense()).json["id"]]}).json
    thief = other.program()
    api_of(other.app).extensions["strongroom_limiter"].reset()  # so many signs are noted in a minute
    for rule, method in operations(other):
        for value in (draft["id"], report["id"], office.people[Role.ADMIN]):
            if "<uuid:" in rule.rule:
                answer = thief.call(method, address(rule, value), headers={"If-Match": '"1"'}, json={"version": 1})
                assert answer.status_code in (404, 415, 422), (rule.rule, answer.status_code)
    assert thief.post(EXPENSES, other.expense(receipt_ids=[draft["id"]])).status_code == 404
    assert thief.post("/api/v1/reports", {"expense_ids": [draft["id"]]}).status_code == 404
    assert refusals.UNKNOWN_ID in signs(other)
    assert theirs.get(f"{EXPENSES}/{draft['id']}").json == draft


def test_ids_of_another_member_are_not_there(office: Office) -> None:
    draft = office.program(Role.ADMIN).post(EXPENSES, office.expense()).json
    for role in (Role.MEMBER, Role.CONTRIBUTOR):
        thief = office.program(role)
        path = f"{EXPENSES}/{draft['id']}"
        assert thief.get(path).status_code == 404
        headers = {"If-Match": '"1"'}
        assert thief.call("PATCH", path, json={"note": "x"}, headers=headers).status_code == 404
        assert thief.call("DELETE", path, headers=headers).status_code == 404
        assert thief.post("/api/v1/reports", {"expense_ids": [draft["id"]]}).status_code == 404
        everybody = thief.get(EXPENSES, query_string={"member_id": str(office.people[Role.ADMIN])})
        assert everybody.json["data"] == []


@pytest.mark.parametrize(
    "more",
    [
        {"member_id": "{owner}"},
        {"state": "approved"},
        {"report_id": str(uuid4())},
        {"base_amount": "1"},
        {"base_currency": "EUR"},
        {"version": 100},
        {"id": str(uuid4())},
        {"created_at": "2020-01-01T00:00:00Z"},
        {"digits": 0},
        {"__class__": {"x": 1}},
    ],
)
def test_no_field_sets_what_is_not_the_callers_to_set(office: Office, more: dict[str, object]) -> None:
    program = office.program(Role.CONTRIBUTOR)
    owner = str(office.people[Role.OWNER])
    body = office.expense() | {name: owner if value == "{owner}" else value for name, value in more.items()}
    assert program.post(EXPENSES, body).status_code == 422
    made = program.post(EXPENSES, office.expense())
    changed = program.call("PATCH", made.location, json=more, headers={"If-Match": '"1"'})
    assert changed.status_code == 422
    with office.database() as conn:
        row = conn.execute(select(expense).where(expense.c.id == made.json["id"])).one()
    assert (row.member_id, row.state, row.version) == (office.people[Role.CONTRIBUTOR], "draft", 1)


def test_a_stranger_sends_no_body_that_is_read(office: Office) -> None:
    answer = office.stranger().post(EXPENSES, data=b"x" * (26 * 1024 * 1024), headers={"Content-Type": "text/plain"})
    assert answer.status_code in (401, 413)


def test_scopes_are_only_those_that_there_are(office: Office) -> None:
    declared = {gate.scope_of(api_of(office.app), rule.endpoint) for rule, _ in operations(office)}
    assert declared - {None} == set(ApiScope)
