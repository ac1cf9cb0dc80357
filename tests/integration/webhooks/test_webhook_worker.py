"""The worker's part: nothing is lost when it is killed, nothing is sent twice by two, and it comes back in time."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from receiver import say
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from strongroom.platform.jobs import queries as jobs
from strongroom.platform.webhooks import delivery, queries, tasks
from strongroom.platform.webhooks.tasks import deliver_webhooks, find_webhooks, forget_webhooks
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.tenant_schema import tables

Office = Any  # the fixture's class, in conftest.py

# Delivers what is due, and is killed before the claimed message is sent, after it, or after that is written down.
KILLED = """
import os, signal, ssl, sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.webhooks import delivery
from strongroom.platform.webhooks.sending import Sender

home, tenant_id, authority, moment = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(name, first):
    known = getattr(delivery.Round, name)
    def wrapped(self, *arguments):
        if not first:
            known(self, *arguments)
        die()
    setattr(delivery.Round, name, wrapped)

dying(*{"claimed": ("_send", True), "sent": ("_finish", True), "noted": ("_finish", False)}[moment])
trust = lambda: ssl.create_default_context(cafile=authority)
sender = Sender(lambda *_: ["127.0.0.1"], lambda _: True, trust)
with open_platform(load_settings(Path(home))) as platform:
    delivery.deliver(platform, platform.registry.tenant_by_id(tenant_id), sender)
"""


@pytest.mark.parametrize(("moment", "arrivals"), [("claimed", 1), ("sent", 2), ("noted", 1)])
def test_a_worker_that_is_killed_loses_nothing(office: Office, moment: str, arrivals: int) -> None:
    endpoint_id, _ = office.endpoint()
    office.emit()
    home, authority = str(office.platform.settings.home), str(office.inbox.authority)
    command = [sys.executable, "-c", KILLED, home, office.tenant.id, authority, moment]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert office.deliver() is None or moment != "noted"  # the claim holds: nobody else sends it at the same time
    office.make_due()  # the lease has ended
    office.deliver()
    assert [one.state for one in office.log(endpoint_id)] == ["delivered"]
    assert len(office.inbox.received) == arrivals
    assert len({came.headers["webhook-id"] for came in office.inbox.received}) == 1


def test_four_workers_at_once_send_each_message_once(office: Office) -> None:
    office.endpoint()
    office.emit(count=24)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: office.deliver(), range(4)))
    ids = [came.headers["webhook-id"] for came in office.inbox.received]
    assert len(ids) == len(set(ids)) == 24


def test_one_that_was_deleted_while_it_was_sent_leaves_no_trace(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    office.emit()

    def delete_and_answer(handler: Any, received: Any) -> None:
        with office.platform.registry.connect(office.tenant) as conn, conn.begin():
            conn.execute(tables.webhook_endpoint.delete())
        say(200)(handler, received)

    office.inbox.answer = delete_and_answer
    assert office.deliver() is None
    assert office.log(endpoint_id) == []


def test_no_transaction_is_open_while_the_receiver_thinks(office: Office, embedded_server: EmbeddedServer) -> None:
    office.endpoint()
    office.emit()
    seen: list[int] = []
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state LIKE 'idle in transaction%%'"

    def look(handler: Any, received: Any) -> None:
        with embedded_server.connect_admin() as admin:
            seen.extend(admin.execute(open_ones, (office.tenant.database,)).fetchone() or ())
        say(200)(handler, received)

    office.inbox.answer = look
    office.deliver()
    assert seen == [0]


def test_the_job_comes_back_when_the_next_try_is_due(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "Sender", office.inbox.sender)
    empty(office)
    office.endpoint()
    office.emit()
    office.inbox.answer = say(500)
    monkeypatch.setattr(delivery, "next_try", lambda _attempts, now, _jitter: now + timedelta(seconds=60))
    before = counted(office)
    deliver_webhooks(office.platform, office.tenant.id)
    deliver_webhooks(office.platform, office.tenant.id)
    (job,) = waiting(office)
    assert (job.task, job.arguments) == ("deliver_webhooks", {"tenant_id": office.tenant.id})
    assert datetime.now(UTC) < scheduled(office) < datetime.now(UTC) + timedelta(seconds=70)
    assert counted(office).get("failed", 0) == before.get("failed", 0) + 1
    office.inbox.answer = say(200)
    office.make_due()
    deliver_webhooks(office.platform, office.tenant.id)
    assert counted(office)["delivered"] == before.get("delivered", 0) + 1


def test_what_has_lost_its_job_is_found(office: Office) -> None:
    empty(office)
    office.endpoint()
    office.emit()
    find_webhooks(office.platform)
    assert office.tenant.id in [job.arguments["tenant_id"] for job in waiting(office)]  # beside those of other tests
    deliver_webhooks(office.platform, "no-such-tenant")


@pytest.mark.parametrize(("name", "sweep"), [("next_due", find_webhooks), ("forget_events", forget_webhooks)])
def test_a_database_that_fails_stops_no_sweep(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, sweep: Any
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("", {}, Exception("the connection is lost"))

    monkeypatch.setattr(tasks.webhooks, name, fail)
    sweep(office.platform)
    assert office.tenant.id in caplog.text


def test_more_than_one_transaction_forgets_are_forgotten(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_AT_ONCE", 2)
    office.endpoint()
    office.emit(count=5)
    event = tables.webhook_event
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        conn.execute(event.update().values(created_at=datetime.now(UTC) - timedelta(days=31)))
    forget_webhooks(office.platform)
    with office.platform.registry.connect(office.tenant) as conn:
        assert conn.execute(event.select()).all() == []


def test_after_thirty_days_they_are_forgotten(office: Office) -> None:
    endpoint_id, _ = office.endpoint()
    office.emit()
    forget_webhooks(office.platform)
    assert len(office.log(endpoint_id)) == 1
    event = tables.webhook_event
    with office.platform.registry.connect(office.tenant) as conn, conn.begin():
        conn.execute(event.update().values(created_at=datetime.now(UTC) - timedelta(days=30, minutes=1)))
    forget_webhooks(office.platform)
    assert office.log(endpoint_id) == []


def test_an_address_that_became_one_of_ours_is_not_called(office: Office) -> None:
    endpoint_id, _ = office.endpoint("https://acme.localhost/hooks/cards")
    office.emit()
    office.deliver()
    assert office.inbox.received == []
    assert "one of ours" in (office.attempts(endpoint_id)[0].error or "")


def test_the_payload_holds_nothing_but_what_was_said(office: Office) -> None:
    office.endpoint()
    office.emit("report.paid", report_id="r", amount="12.50")
    office.deliver()
    body = json.loads(office.inbox.received[0].body)
    assert body.keys() == {"type", "timestamp", "data"}
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    assert body["data"] == {"report_id": "r", "amount": "12.50"}


def empty(office: Office) -> None:
    with office.platform.control.begin() as conn:
        conn.execute(text("DELETE FROM procrastinate_jobs WHERE status = 'todo'"))


def waiting(office: Office) -> list[jobs.QueuedJob]:
    with office.platform.control.connect() as conn:
        return [job for job in jobs.unfinished(conn) if job.task == "deliver_webhooks"]


def scheduled(office: Office) -> datetime:
    with office.platform.control.connect() as conn:
        statement = (
            "SELECT scheduled_at FROM procrastinate_jobs WHERE task_name = 'deliver_webhooks' AND status = 'todo'"
        )
        return conn.execute(text(statement)).scalar_one()


def counted(office: Office) -> dict[str, int]:
    with office.platform.control.connect() as conn:
        return queries.counts(conn)
