"""Every route of the API against every role, every scope and no token, from its own map of addresses."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from api_client import EVERYTHING, Office, Program, api_of, open_office
from flask import Flask
from visitors import Portal

from strongroom.platform.api.gate import scope_of
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import matrix
from strongroom.platform.web.matrix import Line
from strongroom.platform.web.permissions import Role, allowed

PARAMETER = re.compile(r"<[^>]+>")


@pytest.fixture(scope="module")
def office(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Office:
    return open_office(portal.platform, tenant_factory, portal.app)


def guarded(app: Flask) -> list[Line]:
    return [line for line in matrix.lines(api_of(app)) if line.need is not None]


def ask(program: Program, line: Line) -> int:
    """The status for ids that exist nowhere: what is permitted is then not found, or not valid."""
    body = {} if line.method == "GET" else {"json": {}, "headers": {"Idempotency-Key": uuid4().hex}}
    return program.call(line.method, PARAMETER.sub(str(uuid4()), line.path), **body).status_code


def test_every_route_answers_to_exactly_the_roles_of_the_table(office: Office) -> None:
    wrong = list[str]()
    for role in Role:
        program = office.program(role)
        for line in guarded(office.app):
            assert line.need
            status = ask(program, line)
            if (status == 403) == allowed(role, line.need) or status == 401 or status >= 500:
                wrong.append(f"{role} {line.method} {line.path} ({line.need.name}): {status}")
    assert not wrong, "\n".join(wrong)


def test_every_route_answers_to_exactly_the_scope_that_it_declares(office: Office) -> None:
    wrong = list[str]()
    for line in guarded(office.app):
        needed = scope_of(api_of(office.app), line.endpoint)
        if needed is None:
            continue
        for scopes, forbidden in (([needed], False), ([one for one in EVERYTHING if one is not needed], True)):
            status = ask(office.program(Role.OWNER, scopes), line)
            if (status == 403) != forbidden:
                wrong.append(f"{line.method} {line.path} with {scopes}: {status}")
    assert not wrong, "\n".join(wrong)


def test_without_a_token_and_with_a_session_no_route_answers(office: Office, portal: Portal) -> None:
    session = portal.signed_in(Role.OWNER).cookie("__Host-session")
    for line in guarded(office.app):
        assert ask(office.stranger(), line) == 401, line.path
        path, base = PARAMETER.sub(str(uuid4()), line.path), f"https://{portal.host('acme')}"
        client = portal.app.test_client(use_cookies=False)
        carried = {"Cookie": f"__Host-session={session}"}
        assert client.open(path, method=line.method, base_url=base, headers=carried).status_code in (401, 403), (
            line.path
        )
