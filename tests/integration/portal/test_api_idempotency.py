"""The same `Idempotency-Key`: carried out once, answered alike, for a day, within one token."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_client import Office, Program, open_office
from filled_forms import picture
from sqlalchemy import func, select, update

from strongroom.platform.api import idempotency, upkeep
from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import api_token, expense, idempotency_key, receipt

PATH = "/api/v1/expenses"


@pytest.fixture(scope="module")
def office(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Office:
    return open_office(platform, tenant_factory)


def keyed(program: Program, body: object, key: str = "key-1", path: str = PATH) -> Any:
    return program.post(path, body, headers={"Idempotency-Key": key})


def count(office: Office, table: Any = expense) -> int:
    with office.database() as conn:
        return conn.scalar(select(func.count()).select_from(table)) or 0


def test_a_repeat_is_answered_alike_and_carried_out_once(office: Office) -> None:
    program, body, before = office.program(), office.expense(), count(office)
    first, second = keyed(program, body), keyed(program, body)
    assert (first.status_code, second.status_code) == (201, 201)
    assert (second.json, second.location, second.mimetype) == (first.json, first.location, first.mimetype)
    assert second.headers["ETag"] == first.headers["ETag"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert count(office) == before + 1


def test_the_same_key_for_another_request_is_refused(office: Office) -> None:
    program = office.program()
    made = keyed(program, office.expense()).json
    for path, body in ((PATH, office.expense(merchant="Other")), ("/api/v1/reports", {"expense_ids": [made["id"]]})):
        answer = keyed(program, body, path=path)
        assert (answer.status_code, "another request" in answer.json["detail"]) == (422, True)


def test_a_key_counts_for_one_token(office: Office) -> None:
    before, body = count(office), office.expense()
    assert keyed(office.program(), body).status_code == keyed(office.program(), body).status_code == 201
    assert count(office) == before + 2


def test_what_failed_is_not_kept(office: Office) -> None:
    program = office.program()
    assert keyed(program, office.expense(amount="0")).status_code == 422
    assert keyed(program, office.expense()).status_code == 201


def test_an_upload_is_the_same_whatever_its_boundary(office: Office) -> None:
    program, before, answers = office.program(), count(office, receipt), list[Any]()
    for boundary in ("one", "two"):
        part = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n%b\r\n--%b--\r\n'
        data = part % (boundary.encode(), picture(), boundary.encode())
        headers = {"Idempotency-Key": "up", "Content-Type": f"multipart/form-data; boundary={boundary}"}
        answers.append(program.call("POST", "/api/v1/receipts", data=data, headers=headers))
    assert [one.status_code for one in answers] == [201, 201], answers[1].text
    assert answers[0].json == answers[1].json
    assert count(office, receipt) == before + 1
    other = program.call(
        "POST", "/api/v1/receipts", data={"file": (io.BytesIO(picture()), "b.png")}, headers={"Idempotency-Key": "up"}
    )
    assert other.status_code == 422


def test_two_at_once_make_one(office: Office) -> None:
    program, body, before = office.program(), office.expense(), count(office)
    at_once = threading.Barrier(6)

    def send(_number: int) -> int:
        at_once.wait()
        return keyed(program, body).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(send, range(6)))
    assert set(statuses) <= {201, 409}, statuses
    assert 201 in statuses
    assert count(office) == before + 1
    assert keyed(program, body).headers["Idempotent-Replayed"] == "true"


def test_while_one_is_under_way_its_repeat_is_told_to_wait(office: Office) -> None:
    program = office.program()
    held = idempotency.KeyedRequest(program.token_id, idempotency.hashed("busy"), b"")
    with office.database() as conn:
        assert conn.scalar(select(func.pg_try_advisory_xact_lock(held.lock)))
        waiting = keyed(program, office.expense(), "busy")
        assert (waiting.status_code, waiting.headers["Retry-After"]) == (409, "1")
    assert keyed(program, office.expense(), "busy").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "ü"])
def test_a_key_is_printable_and_short(office: Office, key: str) -> None:
    answer = keyed(office.program(), office.expense(), key)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "Idempotency-Key")


def test_after_a_day_it_is_forgotten(office: Office) -> None:
    program, body = office.program(Role.ADMIN), office.expense()
    first = keyed(program, body, "old")
    aged = update(idempotency_key).where(idempotency_key.c.api_token_id == program.token_id)
    long_ago = datetime.now(UTC) - timedelta(hours=24, seconds=1)
    with office.database() as conn:
        conn.execute(aged.values(created_at=long_ago))
    assert keyed(program, body, "old").json["id"] != first.json["id"]
    with office.database() as conn:
        conn.execute(aged.values(created_at=long_ago))
    fresh = keyed(program, body, "fresh").json["id"]
    with office.database() as conn:
        upkeep.forget(conn, datetime.now(UTC))
        held = select(func.count()).where(idempotency_key.c.api_token_id == program.token_id)
        assert conn.scalar(held) == 1
    assert keyed(program, body, "fresh").json["id"] == fresh


def test_where_an_ended_token_was_used_is_forgotten_after_a_month(office: Office) -> None:
    ended, live = office.program(), office.program()
    for program in (ended, live):
        program.get("/api/v1/me")
    now = datetime.now(UTC)
    with office.database() as conn:
        long_ago = now - timedelta(days=30, seconds=1)
        conn.execute(update(api_token).where(api_token.c.id == ended.token_id).values(revoked_at=long_ago))
    with office.database() as conn:
        upkeep.forget(conn, now)
        rows = conn.execute(select(api_token.c.id, api_token.c.last_address))
        addresses = {row.id: row.last_address for row in rows}
    assert addresses[ended.token_id] is None
    assert addresses[live.token_id] is not None


def test_the_kept_answer_is_sealed(office: Office) -> None:
    program = office.program()
    keyed(program, office.expense(merchant="Canary Hotel"), "sealed")
    with office.database() as conn:
        body = conn.scalar(select(idempotency_key.c.body).where(idempotency_key.c.api_token_id == program.token_id))
    assert body
    assert b"Canary" not in body
