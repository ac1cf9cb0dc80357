"""The payment processor's door: only what it has signed, now, and never twice, changes anything."""

import base64
import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from strongroom.platform.audit import queries as operator_audit
from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import payment_event, payment_method
from strongroom.platform.payments.tasks import find_payment_events, process_payment_event
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.platform.web.app import SITE, create_app
from strongroom.platform.webhooks.signature import new_secret, sign
from strongroom.tenant_schema.tables import audit_event

FULL_NUMBER = "4111111111111111"


@dataclass
class Door:
    """The public site with a key for the processor, and a workspace to be paid for."""

    platform: Platform
    tenant: Tenant
    site: Any
    key: str
    file: Path

    def message(self, plan: str = "team", at: datetime | None = None, **data: object) -> str:
        told = {"workspace": self.tenant.id, "plan": plan} | data
        stamp = {"timestamp": at.isoformat()} if at else {}
        return json.dumps({"type": "subscription.updated", "data": told} | stamp)

    def post(self, body: str | bytes, headers: dict[str, str]) -> TestResponse:
        return self.site.test_client().post(
            "/hooks/payments", data=body, headers=headers, base_url="https://localhost", content_type="application/json"
        )

    def send(self, body: str, name: str, *, key: str | None = None, off: float = 0.0) -> TestResponse:
        """Send a message signed `off` seconds from now."""
        return self.post(body, sign([key or self.key], name, datetime.now(UTC) + timedelta(seconds=off), body))

    def work(self) -> None:
        """Let the worker do all that is stored."""
        with self.platform.control.connect() as conn:
            waiting = conn.scalars(select(payment_event.c.id).where(payment_event.c.processed_at.is_(None))).all()
        for event_id in waiting:
            process_payment_event(self.platform, event_id)

    @property
    def plan(self) -> str:
        with self.platform.control.connect() as conn:
            return tenants.by_id(conn, self.tenant.id).plan

    @property
    def stored(self) -> int:
        with self.platform.control.connect() as conn:
            return conn.execute(select(func.count()).select_from(payment_event)).scalar_one()


@pytest.fixture(scope="module")
def rooms(platform: Platform, tenant_factory: Callable[..., Tenant], tmp_path_factory: Any) -> Door:
    file = tmp_path_factory.mktemp("payments") / "secret"
    key = new_secret()
    file.write_text(key)
    file.chmod(0o600)
    asked = replace(platform, settings=replace(platform.settings, payment_secret_file=str(file)))
    return Door(platform, tenant_factory(plan="pro"), create_app(asked).extensions[SITE], key, file)


@pytest.fixture
def door(rooms: Door) -> Generator[Door]:
    """The workspace on the plan “pro”, and nothing stored."""
    with rooms.platform.control.begin() as conn:
        conn.execute(payment_event.delete())
        conn.execute(payment_method.delete())
        tenants.set_plan(conn, rooms.tenant.id, "pro")
    rooms.file.write_text(rooms.key)
    yield rooms
    with rooms.platform.control.begin() as conn:
        conn.execute(payment_event.delete())


def test_a_signed_change_of_plan_takes_effect_and_is_audited_on_both_sides(door: Door) -> None:
    assert door.send(door.message(), "evt_1").status_code == 202
    assert (door.plan, door.stored) == ("pro", 1)  # stored before it is acknowledged, done by the worker
    door.work()
    assert door.plan == "team"
    with door.platform.control.connect() as conn:
        entry = operator_audit.newest(conn, 1, door.tenant.id)[0]
    wanted = {"from": "pro", "to": "team", "event": "evt_1"}
    assert (entry.operator, entry.action, entry.detail) == ("payment processor", "tenant.plan_changed", wanted)
    assert wanted in noted(door)


@pytest.mark.parametrize("off", [-301, 320, -86400])
def test_a_message_from_another_time_is_refused(door: Door, off: int) -> None:
    assert_refused(door, door.send(door.message(), "evt_time", off=off))


def test_a_message_within_five_minutes_counts(door: Door) -> None:
    assert door.send(door.message(), "evt_past", off=-250).status_code == 202
    assert door.send(door.message(), "evt_future", off=250).status_code == 202


def test_a_replay_is_refused_and_a_repetition_acknowledged_without_effect(door: Door) -> None:
    body, now = door.message(), datetime.now(UTC)
    headers = sign([door.key], "evt_twice", now, body)
    assert door.post(body, headers).status_code == 202
    assert door.post(body, headers).status_code == 401
    door.work()
    with door.platform.control.begin() as conn:
        tenants.set_plan(conn, door.tenant.id, "free")
    assert door.post(body, sign([door.key], "evt_twice", now + timedelta(seconds=1), body)).status_code == 202
    assert door.post(body, headers).status_code == 401
    door.work()
    assert (door.plan, door.stored) == ("free", 1)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_message_without_one_of_the_headers_is_refused(door: Door, missing: str) -> None:
    body = door.message()
    headers = sign([door.key], "evt_less", datetime.now(UTC), body)
    del headers[missing]
    assert_refused(door, door.post(body, headers))


@pytest.mark.parametrize(
    "signature",
    [
        "v1,***not base64***",
        "v1,",
        "v1",
        ",",
        " ",
        "v1," + base64.b64encode(b"\0" * 32).decode(),
        "v2,{right}",
        "v1a,{right}",
        "V1,{right}",
        "{right}",
        "v1,{right}=",
        "v1,{right}\u00e9",
        "v1," + "A" * 5000,
    ],
)
def test_a_signature_that_is_none_is_refused(door: Door, signature: str) -> None:
    body = door.message()
    headers = sign([door.key], "evt_odd", datetime.now(UTC), body)
    right = headers["webhook-signature"].removeprefix("v1,")
    headers["webhook-signature"] = signature.replace("{right}", right)
    assert_refused(door, door.post(body, headers))


@pytest.mark.parametrize("stamp", ["", "now", "1e9", "-1", "NaN", "99999999999999", "1.5", "\u0661\u0662"])
def test_a_timestamp_that_is_none_is_refused(door: Door, stamp: str) -> None:
    body = door.message()
    headers = sign([door.key], "evt_stamp", datetime.now(UTC), body) | {"webhook-timestamp": stamp}
    assert_refused(door, door.post(body, headers))


def test_another_key_another_body_and_another_id_are_refused(door: Door) -> None:
    body = door.message()
    headers = sign([door.key], "evt_real", datetime.now(UTC), body)
    assert_refused(door, door.send(body, "evt_real", key=new_secret()))
    assert_refused(door, door.post(body.replace("team", "free"), headers))
    assert_refused(door, door.post(body, headers | {"webhook-id": "evt_other"}))
    assert_refused(door, door.post(b"\xff" + body.encode(), headers))


def test_a_huge_message_is_refused(door: Door) -> None:
    assert (door.send(door.message(padding="x" * 70_000), "evt_huge").status_code, door.stored) == (413, 0)


def test_during_a_rotation_both_keys_count(door: Door) -> None:
    new = new_secret()
    door.file.write_text(f"{new}\n{door.key}\n")
    assert door.send(door.message(), "evt_new", key=new).status_code == 202
    assert door.send(door.message(), "evt_old", key=door.key).status_code == 202
    door.file.write_text(new)
    assert door.send(door.message(), "evt_gone", key=door.key).status_code == 401


def test_what_happened_earlier_and_arrives_later_changes_nothing(door: Door) -> None:
    now = datetime.now(UTC)
    door.send(door.message("free", at=now), "evt_second")
    door.work()
    door.send(door.message("team", at=now - timedelta(minutes=1)), "evt_first")
    door.work()
    assert door.plan == "free"


def test_the_same_message_twenty_times_at_once_takes_effect_once(door: Door) -> None:
    body, now = door.message(), datetime.now(UTC)
    headers = sign([door.key], "evt_flood", now, body)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: door.post(body, headers).status_code, range(20)))
    assert sorted(statuses) == [202] + [401] * 19
    with door.platform.control.connect() as conn:
        event_id = conn.execute(select(payment_event.c.id)).scalar_one()
    before = len(noted(door))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: process_payment_event(door.platform, event_id), range(4)))
    assert len(noted(door)) == before + 1


def test_a_worker_that_died_between_the_two_databases_notes_it_once(door: Door, monkeypatch: Any) -> None:
    door.send(door.message(), "evt_torn")
    before = len(noted(door))
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(tenants, "set_plan", lambda *_: 1 / 0)
        door.work()
    assert (door.plan, len(noted(door))) == ("pro", before + 1)
    door.work()
    assert (door.plan, len(noted(door))) == ("team", before + 1)


def test_of_a_card_only_token_brand_and_last_four_are_kept(door: Door) -> None:
    told = {"workspace": door.tenant.id, "token": "pm_1", "brand": "Visa", "last4": "1111", "number": FULL_NUMBER}
    body = json.dumps({"type": "payment_method.updated", "data": told})
    assert door.send(body, "evt_card").status_code == 202
    door.work()
    with door.platform.control.connect() as conn:
        row = conn.execute(select(payment_method).where(payment_method.c.tenant_id == door.tenant.id)).one()
        kept = conn.execute(select(payment_event.c.content)).scalar_one()
    assert (row.token, row.brand, row.last_four) == ("pm_1", "Visa", "1111")
    assert kept == {"token": "pm_1", "brand": "Visa", "last4": "1111"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": FULL_NUMBER},
        {"brand": "4111 1111 1111 1111"},
        {"last4": FULL_NUMBER},
        {"last4": "111"},
        {"token": None},
        {"brand": ["Visa"]},
        {"token": "x" * 101},
        {"workspace": "../other"},
    ],
)
def test_a_message_that_says_too_much_or_too_little_is_not_stored(door: Door, wrong: dict[str, object]) -> None:
    told = {"workspace": door.tenant.id, "token": "pm_1", "brand": "Visa", "last4": "1111"} | wrong
    answer = door.send(json.dumps({"type": "payment_method.updated", "data": told}), "evt_wrong")
    assert (answer.status_code, door.stored) == (422, 0)
    assert FULL_NUMBER not in answer.text


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "{}", '{"type":1}', "[" * 60_000, '{"type":"subscription.updated"}']
)
def test_a_signed_message_that_is_none_is_not_stored(door: Door, body: str) -> None:
    assert (door.send(body, "evt_none").status_code, door.stored) == (422, 0)


def test_unknown_types_and_unknown_workspaces_are_acknowledged_and_change_nothing(door: Door) -> None:
    assert door.send('{"type":"invoice.sent","data":{"name":"Olga"}}', "evt_type").status_code == 202
    assert door.send(door.message(workspace="nowhere"), "evt_where").status_code == 202
    assert door.send(door.message("platinum"), "evt_plan").status_code == 202
    door.work()
    assert door.plan == "pro"
    with door.platform.control.connect() as conn:
        rows = conn.execute(select(payment_event.c.external_id, payment_event.c.error)).all()
        contents = conn.execute(
            select(payment_event.c.content).where(payment_event.c.type == "invoice.sent")
        ).scalar_one()
    assert {row[0]: row[1] for row in rows} == {
        "evt_type": None,
        "evt_where": "no such workspace",
        "evt_plan": "no such plan",
    }
    assert contents == {}


def test_a_suspended_workspace_s_change_waits_and_is_found_again(door: Door) -> None:
    door.send(door.message(), "evt_wait")
    with door.platform.control.begin() as conn:
        tenants.set_state(conn, door.tenant.id, TenantState.SUSPENDED)
    with pytest.raises(Exception, match="wait"):
        door.work()
    with door.platform.control.begin() as conn:
        tenants.set_state(conn, door.tenant.id, TenantState.ACTIVE)
    find_payment_events(door.platform)
    door.work()
    assert door.plan == "team"


def test_without_a_key_there_is_no_such_door(door: Door, platform: Platform) -> None:
    closed = create_app(platform).extensions[SITE].test_client()
    body = door.message()
    headers = sign([door.key], "evt_closed", datetime.now(UTC), body)
    assert closed.post("/hooks/payments", data=body, headers=headers, base_url="https://localhost").status_code == 404


def test_a_key_that_others_can_read_is_not_used(door: Door) -> None:
    door.file.chmod(0o644)
    try:
        assert door.send(door.message(), "evt_open").status_code == 503
    finally:
        door.file.chmod(0o600)


def assert_refused(door: Door, answer: TestResponse) -> None:
    assert (answer.status_code, door.stored) == (401, 0)


def noted(door: Door) -> list[dict[str, Any]]:
    plan_changed = select(audit_event.c.detail).where(audit_event.c.action == "workspace.plan_changed")
    with door.platform.registry.connect(door.tenant) as conn, conn.begin():
        return list(conn.scalars(plan_changed))
