"""The OpenAPI document against the API itself: what it says is what is answered, whatever is sent."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from api_client import Office, Program, api_of, open_office
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_wsgi
from schemathesis.specs.openapi import checks

from strongroom.platform.api import gate
from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import guard
from strongroom.platform.web.permissions import Permission, public, requires

DOCUMENT = "/api/v1/openapi.json"
BOUNDED = settings(
    max_examples=10,
    derandomize=True,  # the same examples every time
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHECKS = (
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    not_a_server_error,
)


@pytest.fixture(scope="module")
def office(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Office:
    return open_office(platform, tenant_factory)


@pytest.fixture(scope="module")
def description(office: Office) -> Any:
    return from_wsgi(
        DOCUMENT, app=office.app, base_url=office.base, headers={"Host": f"{office.tenant.slug}.localhost"}
    )


def test_the_document_is_valid(description: Any) -> None:
    description.validate()
    assert description.specification.version == "3.1.0"


def test_whatever_is_sent_the_answer_is_one_that_the_document_names(description: Any, office: Office) -> None:
    answers = Counter[int]()
    operations = [found.ok() for found in description.get_all_operations()]
    for operation in operations:
        answers += tried(operation, office)
    assert len(operations) >= 20
    for status in (200, 201, 204, 404, 409, 412, 422):
        assert answers[status], (status, answers)


def tried(operation: Any, office: Office) -> Counter[int]:
    """What one operation answers to what the document allows, half of it with ids of things that there are."""
    answers, category = Counter[int](), office.category()
    owner = office.program()  # one each, because of what a token may call in a minute

    @BOUNDED
    @given(case=operation.as_strategy(), real=some.booleans())
    def send(case: Any, real: bool) -> None:
        if real:
            make_real(case, office, owner, category)
        headers = {"Authorization": f"Bearer {owner.token}"}
        answer = case.call_and_validate(base_url=owner.base, headers=headers, checks=CHECKS)
        answers[answer.status_code] += 1

    send()
    return answers


def make_real(case: Any, office: Office, owner: Program, category: str) -> None:
    """Let the ids of a request name things that there are."""
    fresh = owner.post("/api/v1/expenses", office.expense(category_id=category)).json["id"]
    names, case.headers = case.path_parameters or {}, case.headers or {}
    if "expense_id" in names:
        names["expense_id"] = fresh
        if case.method != "PATCH":  # which finds it stale
            case.headers["If-Match"] = '"1"'
    if "report_id" in names:
        names["report_id"] = owner.post("/api/v1/reports", {"expense_ids": [fresh]}).json["id"]
    if "member_id" in names:
        names["member_id"] = str(next(iter(office.people.values())))
    if isinstance(case.body, dict) and "category_id" in case.body:
        case.body["category_id"] = category
    if isinstance(case.body, dict) and "expense_ids" in case.body:
        case.body["expense_ids"] = [fresh]


def test_no_answer_may_have_a_field_that_is_not_named(office: Office) -> None:
    shapes = office.stranger().get(DOCUMENT).json["components"]["schemas"]
    assert [name for name, shape in shapes.items() if shape.get("additionalProperties") is not False] == []
    named = {field for shape in shapes.values() for field in shape["properties"]}
    assert not [field for field in named if any(word in field for word in ("hash", "password", "secret", "sealed"))]


def test_every_route_of_the_api_is_in_the_document(office: Office) -> None:
    app = api_of(office.app)
    described = {
        (path, method)
        for path, operations in office.stranger().get(DOCUMENT).json["paths"].items()
        for method in operations
        if method != "parameters"
    }
    routes = {
        (rule.rule.replace("<uuid:", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
        if guard.need_of(app, rule.endpoint) is not None
    }
    assert described == routes


def test_only_the_document_and_its_page_need_no_token(office: Office) -> None:
    app = api_of(office.app)
    free = {rule.endpoint for rule in app.url_map.iter_rules() if guard.need_of(app, rule.endpoint) is None}
    assert free == {"reference.document", "reference.page", "assets.send"}
    for path in (DOCUMENT, "/api/docs"):
        assert office.stranger().get(path).status_code == 200


def test_a_route_that_declares_no_permission_or_no_scope_keeps_the_application_from_starting() -> None:
    app = Flask("forgetful", static_folder=None)
    app.add_url_rule("/free", "free", public(lambda: "yes"))
    gate.check_declared(app)
    app.add_url_rule("/unscoped", "unscoped", requires(Permission.USE)(lambda: "no"))
    with pytest.raises(LookupError, match="unscoped"):
        gate.check_declared(app)
    app.view_functions.pop("unscoped")
    app.add_url_rule("/forgotten", "forgotten", lambda: "everything")
    with pytest.raises(LookupError, match="forgotten"):
        gate.check_declared(app)
