"""What happens in a workspace reaches the customer's machine: signed, at least once, under one id, tried for a day."""

import json
from datetime import timedelta
from typing import Any

import pytest
from receiver import say
from standardwebhooks import Webhook, WebhookVerificationError

from strongroom.platform.webhooks.events import emit
from strongroom.platform.webhooks.schedule import TRIES
from strongroom.platform.webhooks.signature import new_secret
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.queries import webhook_log, webhooks

Office = Any  # the fixture's class, in conftest.py


def test_the_message_is_what_the_public_library_accepts(office: Office) -> None:
    endpoint_id, secret = office.endpoint()
    office.emit("expense.created", amount="12.50", currency="GBP")
    assert office.deliver() is None
    (came,) = office.inbox.received
    body = Webhook(secret).verify(came.body, came.headers)
    assert body["type"] == "expense.created"
    assert body["data"] == {"amount": "12.50", "currency": "GBP"}
    assert came.path == "/inbox?from=strongroom"
    assert came.headers["host"] == f"hooks.customer.example:{office.inbox.port}"
    assert came.headers["content-type"] == "application/json"
    (line,) = office.log(endpoint_id)
    assert (line.state, line.attempts) == ("delivered", 1)
    assert came.headers["webhook-id"] == str(line.event_id)


def test_another_key_does_not_fit(office: Office) -> None:
    office.endpoint()
    office.emit()
    office.deliver()
    (came,) = office.inbox.received
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(came.body, came.headers)


def test_only_what_an_endpoint_subscribes_to_is_sent(office: Office) -> None:
    office.endpoint(events=("report.paid",))
    office.emit("expense.created")
    office.emit("report.paid")
    office.deliver()
    assert [json.loads(came.body)["type"] for came in office.inbox.received] == ["report.paid"]


def test_without_a_commit_nothing_is_sent(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    with pytest.raises(ZeroDivisionError):
        _emit_and_fail(office)
    assert office.log(endpoint_id) == []


def test_during_a_rotation_both_keys_fit_and_afterwards_the_new_one_only(office: Office) -> None:
    endpoint_id, old = office.endpoint()
    new = rotate(office, endpoint_id, old)
    office.emit(count=1)
    office.deliver()
    office.now += timedelta(hours=24)
    office.emit(count=1)
    office.deliver()
    during, after = office.inbox.received
    for secret in (old, new):
        Webhook(secret).verify(during.body, during.headers)
    assert len(after.headers["webhook-signature"].split(" ")) == 1


def test_a_failure_is_tried_again_later_under_the_same_id(office: Office) -> None:
    endpoint_id, secret = office.endpoint()
    office.emit()
    office.inbox.answer = say(500)
    due = office.deliver()
    assert due is not None
    assert timedelta(seconds=5) <= due - office.now <= timedelta(seconds=6)
    assert office.look(endpoint_id).failing_since is not None
    office.inbox.answer = say(200)
    office.make_due(timedelta(seconds=6))
    assert office.deliver() is None
    first, second = office.inbox.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    Webhook(secret).verify(second.body, second.headers)
    assert [(one.status, one.error) for one in office.attempts(endpoint_id)] == [
        (200, None),
        (500, "Internal Server Error"),
    ]
    assert office.look(endpoint_id).failing_since is None


def test_after_a_day_of_failures_it_is_given_up_and_can_be_sent_again(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    office.inbox.answer = say(503)
    office.emit()
    for _ in range(TRIES):
        office.deliver()
        office.make_due()
    assert office.deliver() is None
    assert len(office.inbox.received) == TRIES
    (line,) = office.log(endpoint_id)
    assert line.state == "failed"
    office.inbox.answer = say(204)
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        assert webhook_log.replay(conn, endpoint_id, since=line.created_at) == 1
    office.deliver()
    assert office.log(endpoint_id)[0].state == "delivered"
    assert {came.headers["webhook-id"] for came in office.inbox.received} == {str(line.event_id)}


def test_an_endpoint_that_is_gone_is_paused_and_its_admins_are_told_once(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    office.inbox.answer = say(410)
    office.emit(count=3)
    assert office.deliver() is None
    assert len(office.inbox.received) == 1
    assert office.look(endpoint_id).pause_reason == "gone"
    assert office.letters() == ["A webhook is paused"]
    assert sorted(one.state for one in office.log(endpoint_id)) == ["failed", "waiting", "waiting"]


def test_after_five_days_of_failures_only_the_endpoint_is_paused(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    office.inbox.answer = say(500)
    office.emit()
    office.deliver()
    office.make_due(timedelta(days=5) - timedelta(seconds=1))
    office.deliver()
    assert office.look(endpoint_id).paused_at is None
    office.make_due(timedelta(seconds=1))
    office.deliver()
    assert office.look(endpoint_id).pause_reason == "failing"
    assert office.letters() == ["A webhook is paused"]


def test_what_happens_while_it_is_paused_is_sent_when_it_goes_on(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        webhooks.pause(conn, endpoint_id, None)
    office.emit(count=2)
    assert office.deliver() is None
    assert office.inbox.received == []
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        webhooks.resume(conn, endpoint_id)
    office.deliver()
    assert len(office.inbox.received) == 2


def test_one_that_does_not_answer_keeps_nobody_else_waiting(office: Office) -> None:
    dead, _ = office.endpoint("https://dead.customer.example/")
    alive, _ = office.endpoint()
    office.emit(count=4)
    asked: list[str] = []

    def resolver(host: str, _port: int) -> list[str]:
        asked.append(host)
        return [] if host.startswith("dead") else ["127.0.0.1"]

    office.deliver(office.inbox.sender(resolver))
    assert asked.count("dead.customer.example") == 1
    assert {one.state for one in office.log(alive)} == {"delivered"}
    assert {one.state for one in office.log(dead)} == {"waiting"}


def test_a_deleted_endpoint_takes_its_log_along(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    office.emit()
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        webhooks.delete_endpoint(conn, endpoint_id)
    assert office.deliver() is None
    assert office.log(endpoint_id) == []


def test_events_are_forgotten_after_their_time(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    office.emit(count=2)
    event = tables.webhook_event
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        oldest = office.log(endpoint_id)[-1].event_id
        conn.execute(event.update().where(event.c.id == oldest).values(created_at=office.now - timedelta(days=31)))
        assert webhooks.forget_events(conn, office.now - timedelta(days=30), 10) == 1
    assert len(office.log(endpoint_id)) == 1


def rotate(office: Office, endpoint_id: Any, old: str) -> str:
    c, new = tables.webhook_endpoint.c, new_secret()
    values = {
        "secret": office.cipher.seal(c.secret, endpoint_id, new),
        "previous_secret": office.cipher.seal(c.previous_secret, endpoint_id, old),
        "previous_until": office.now + timedelta(hours=24),
    }
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        webhooks.change_endpoint(conn, endpoint_id, values)
    return new


def _emit_and_fail(office: Office) -> None:
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        emit(conn, office.cipher, "report.paid", {})
        raise ZeroDivisionError
