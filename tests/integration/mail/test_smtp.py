"""Mail over a real SMTP server: with TLS or not at all, once, tried again when it helps, given up when it does not."""

import json
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from strongroom.config.errors import FailedError, RefusedError, UnavailableError
from strongroom.platform.control.platform import Platform
from strongroom.platform.jobs import queries as jobs
from strongroom.platform.keys.fields import FieldCipher
from strongroom.platform.mail import delivery, outbox, standings, unsent
from strongroom.platform.mail.delivery import deliver_mail, deliver_waiting, send_soon
from strongroom.platform.mail.operators import tell_operators
from strongroom.platform.mail.server import MailServer, ServerAwayError
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.tls import ensure_certificates, tls_files
from strongroom.tenant_schema.tables import outbox as table

Office = Any  # PostOffice of conftest.py
OpenOffice = Callable[..., Office]
ToOffice = Callable[..., Platform]
PASSWORD = "correct horse"
DELIVERING = """
import json, sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.mail.delivery import deliver_waiting
with open_platform(load_settings(Path(sys.argv[1]), **json.loads(sys.argv[2]))) as platform:
    deliver_waiting(platform, platform.registry.tenant_by_id(sys.argv[3]))
"""


def queue(platform: Platform, tenant: Tenant, recipient: str = "nina@people.example", subject: str = "Hello") -> str:
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.registry.connect(tenant) as conn, conn.begin():
        return str(outbox.queue(conn, cipher, recipient, subject, "First line.\n.dot\n\nLast “line”."))


def state(platform: Platform, tenant: Tenant) -> Any:
    """The newest message's row."""
    with platform.registry.connect(tenant) as conn, conn.begin():
        return conn.execute(table.select().order_by(table.c.created_at.desc(), table.c.id.desc()).limit(1)).one()


def make_due(platform: Platform, tenant: Tenant) -> None:
    """Let the time pass until the next try of every message."""
    delivery.brake.release()
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(update(table).values(next_at=text("now() - interval '1 second'")))


def test_a_message_goes_out_over_starttls_with_its_headers(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant
) -> None:
    office = open_office()
    platform = to_office(office)
    message_id = queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 1
    (letter,) = office.taken
    assert office.secure == [True]
    assert letter["To"] == "nina@people.example"
    assert letter["From"] == "Strongroom <no-reply@localhost>"
    assert letter["Message-ID"] == f"<{message_id}@localhost>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Date"] and not letter["Reply-To"]
    assert [part.get_content_type() for part in letter.iter_parts()] == ["text/plain", "text/html"]
    assert letter.get_body(("plain",)).get_content().splitlines() == ["First line.", ".dot", "", "Last “line”."]
    assert office.raw[0].isascii()
    assert state(platform, tenant).sent_at is not None
    assert deliver_waiting(platform, tenant) == 0
    assert len(office.taken) == 1


def test_tls_from_the_first_byte(open_office: OpenOffice, to_office: ToOffice, tenant: Tenant) -> None:
    office = open_office("tls")
    platform = to_office(office, smtp_security="tls")
    queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 1
    assert office.secure == [True]


def test_several_messages_share_a_connection(open_office: OpenOffice, to_office: ToOffice, tenant: Tenant) -> None:
    office = open_office()
    platform = to_office(office)
    for number in range(3):
        queue(platform, tenant, subject=str(number))
    assert deliver_waiting(platform, tenant) == 3
    assert [letter["Subject"] for letter in office.taken] == ["0", "1", "2"]
    assert len(office.sessions) == 1


def test_a_server_that_offers_no_tls_gets_nothing(open_office: OpenOffice, to_office: ToOffice, tenant: Tenant) -> None:
    office = open_office("none")
    platform = to_office(office)
    queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 0
    assert office.taken == []
    assert office.secure == []
    assert "STARTTLS" in state(platform, tenant).last_error


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_an_unknown_authority_is_refused(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, tmp_path: Path, security: str
) -> None:
    office = open_office(security)
    other = replace(to_office(office).settings, home=tmp_path)
    ensure_certificates(other)
    for authority in (str(tls_files(other).authority), ""):  # another's, the system's
        delivery.brake.release()
        platform = to_office(office, smtp_security=security, smtp_authority=authority)
        queue(platform, tenant)
        assert deliver_waiting(platform, tenant) == 0
        assert "certificate" in state(platform, tenant).last_error
    assert office.taken == []


def test_a_certificate_for_another_name_is_refused(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant
) -> None:
    office = open_office()
    platform = to_office(office, smtp_host="127.0.0.2")
    queue(platform, tenant)
    with pytest.raises(ServerAwayError), socket.socket():
        MailServer(replace(platform.settings, smtp_host="127.0.0.2"))._opened()
    assert deliver_waiting(platform, tenant) == 0
    assert office.taken == []


def test_the_login_comes_from_a_private_file(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, tmp_path: Path
) -> None:
    office = open_office(login=True)
    secret = tmp_path / "smtp-password"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    platform = to_office(office, smtp_user="postmaster", smtp_password_file=str(secret))
    queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 1
    secret.chmod(0o640)
    with pytest.raises(RefusedError, match="chmod 0600"):
        tell_operators(replace(platform.settings, operator_email="ops@of.example"), "x", "x", "x")
    secret.chmod(0o600)
    secret.write_text("wrong")
    queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 0
    row = state(platform, tenant)
    assert "535" in row.last_error
    assert row.failed_at is None
    assert "wrong" not in row.last_error


def test_a_4xx_answer_is_tried_again_later_and_then_goes_out_once(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant
) -> None:
    office = open_office()
    office.recipient_answers = ["451 4.7.1 nina@people.example is greylisted"]
    platform = to_office(office)
    queue(platform, tenant)
    queue(platform, tenant, "other@people.example", "Other")
    assert deliver_waiting(platform, tenant) == 1  # the other one
    with platform.registry.connect(tenant) as conn, conn.begin():
        row = conn.execute(table.select().where(table.c.sent_at.is_(None))).one()
    assert (row.attempts, row.failed_at) == (1, None)
    assert row.last_error == "The mail server refuses the recipient (451 4.7.1)."
    assert deliver_waiting(platform, tenant) == 0  # not due
    make_due(platform, tenant)
    assert deliver_waiting(platform, tenant) == 1
    assert office.recipients == ["other@people.example", "nina@people.example"]


@pytest.mark.parametrize("where", ["recipient_answers", "content_answers"])
def test_a_5xx_answer_is_given_up_at_once_and_named_to_operators(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    office = open_office()
    setattr(office, where, ["550 5.1.1 <nina@people.example> unknown"])
    platform = to_office(office)
    message_id = queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 0
    row = state(platform, tenant)
    assert row.failed_at is not None
    assert row.handed_over_at is None
    assert "550 5.1.1" in row.last_error
    assert "nina" not in row.last_error + caplog.text
    (shown,) = [one for one in unsent.listing(platform) if one.workspace == tenant.slug]
    assert (str(shown.id), shown.state, shown.to) == (message_id, "failed", "n…@people.example")
    with platform.control.connect() as conn:
        assert standings.totals(conn).failed >= 1
    make_due(platform, tenant)
    assert deliver_waiting(platform, tenant) == 0
    assert unsent.retry(platform, [shown.id]) == [shown.id]
    assert deliver_waiting(platform, tenant) == 1
    assert len(office.taken) == 1


def test_a_connection_that_drops_before_the_end_of_the_message_loses_and_doubles_nothing(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = open_office()
    platform = to_office(office)
    queue(platform, tenant)
    send = smtplib.SMTP.send

    def cut(self: smtplib.SMTP, content: Any) -> None:
        if isinstance(content, bytes) and content.startswith(b"From:"):
            send(self, content[:100])
            self.close()
            raise BrokenPipeError(32, "Broken pipe")
        send(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(smtplib.SMTP, "send", cut)
        assert deliver_waiting(platform, tenant) == 0
    row = state(platform, tenant)
    assert (row.handed_over_at, row.failed_at) == (None, None)
    assert office.taken == []
    make_due(platform, tenant)
    assert deliver_waiting(platform, tenant) == 1
    assert len(office.taken) == 1


@pytest.mark.parametrize("answer", ["drop", "silence"])
def test_a_server_that_says_nothing_after_the_last_byte_is_not_sent_the_message_again(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MailServer.__init__, "__defaults__", (30.0, 0.3))
    office = open_office()
    office.content_answers = [answer]
    platform = to_office(office)
    queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 0
    row = state(platform, tenant)
    assert row.failed_at is not None
    assert row.handed_over_at is not None
    (shown,) = [one for one in unsent.listing(platform) if one.workspace == tenant.slug]
    assert shown.state == "unknown"
    make_due(platform, tenant)
    assert deliver_waiting(platform, tenant) == 0
    assert len(office.taken) <= 1


@pytest.mark.parametrize("moment", ["before_recipient", "before_content"])
def test_a_worker_that_is_killed_sends_nothing_twice(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, moment: str
) -> None:
    """By SIGKILL, out of the mail server's own answer: before the message is handed over, and when it has it whole."""
    office = open_office()
    platform = to_office(office)
    queue(platform, tenant)
    wanted = {name: getattr(platform.settings, name) for name in ("smtp_host", "smtp_port", "smtp_authority")}
    arguments = [sys.executable, "-c", DELIVERING, str(platform.settings.home), json.dumps(wanted), tenant.id]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as worker:
        setattr(office, moment, worker.kill)
        assert worker.wait(60) == -signal.SIGKILL
    setattr(office, moment, lambda: None)
    assert deliver_waiting(platform, tenant) == 0  # still the dead one's
    make_due(platform, tenant)
    again = moment == "before_recipient"
    assert deliver_waiting(platform, tenant) == again
    assert len(office.taken) == 1
    row = state(platform, tenant)
    assert (row.sent_at is not None, row.failed_at is not None) == (again, not again)
    make_due(platform, tenant)
    assert deliver_waiting(platform, tenant) == 0
    assert len(office.taken) == 1


def test_a_dead_server_is_not_asked_again_at_once_and_nothing_is_lost(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, tenant_factory: Callable[..., Tenant]
) -> None:
    other = tenant_factory()
    office = open_office()
    with socket.socket() as listener:  # takes no connection
        listener.bind(("127.0.0.1", 0))
        dead = to_office(office, smtp_port=listener.getsockname()[1])
        for _ in range(3):
            queue(dead, tenant)
        queue(dead, other)
        for _ in range(4):
            assert deliver_waiting(dead, tenant) == 0
            assert deliver_waiting(dead, other) == 0
    with dead.registry.connect(tenant) as conn, conn.begin():
        tried = list(conn.scalars(table.select().with_only_columns(table.c.attempts).where(table.c.sent_at.is_(None))))
    assert sorted(tried) == [0, 0, 1]
    assert state(dead, other).attempts == 0
    with dead.control.connect() as conn:
        assert standings.totals(conn).waiting >= 4
        waiting = [job.task for job in jobs.unfinished(conn, 1000) if job.arguments == {"tenant_id": tenant.id}]
    assert waiting.count(delivery.TASK) == 1  # one, for later
    live = to_office(office)
    make_due(live, tenant)
    deliver_mail(live)
    assert len([one for one in office.taken if one["Subject"] == "Hello"]) >= 4
    assert state(live, other).sent_at is not None


def test_a_database_that_is_away_stops_no_mail_of_other_workspaces(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UnavailableError("The database does not answer.")

    office = open_office()
    platform = to_office(office)
    queue(platform, tenant)
    monkeypatch.setattr(delivery.queries, "hand_over", fail)
    assert deliver_waiting(platform, tenant) == 0
    assert not delivery.brake.is_on
    assert not office.taken
    monkeypatch.undo()
    make_due(platform, tenant)
    assert deliver_waiting(platform, tenant) == 1


def test_a_turn_ends_and_the_rest_is_queued(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_TURN_SECONDS", 0)
    platform = to_office(open_office())
    for _ in range(2):
        queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 1
    with platform.control.connect() as conn:
        waiting = [job.task for job in jobs.unfinished(conn, 1000) if job.arguments == {"tenant_id": tenant.id}]
    assert waiting.count(delivery.TASK) == 1
    assert deliver_waiting(platform, tenant) == 1


def test_a_message_is_given_up_after_a_day_of_tries(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant
) -> None:
    office = open_office()
    platform = to_office(office)
    queue(platform, tenant)
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(update(table).where(table.c.sent_at.is_(None)).values(attempts=29))
    office.recipient_answers = ["450 busy"]
    assert deliver_waiting(platform, tenant) == 0
    assert state(platform, tenant).failed_at is not None


def test_no_connection_to_the_workspace_is_held_while_the_server_is_talked_to(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant
) -> None:
    office = open_office()
    platform = to_office(office)
    busy: list[int] = []

    def look() -> None:
        stats = platform.registry.stats()
        busy.append(sum(server.get("busy", 0) for server in stats.values()))

    office.before_content = look
    queue(platform, tenant)
    assert deliver_waiting(platform, tenant) == 1
    assert busy == [0]


def test_a_request_queues_a_job_and_never_talks_to_the_mail_server(
    open_office: OpenOffice, to_office: ToOffice, tenant: Tenant
) -> None:
    office = open_office()
    platform = to_office(office)
    queue(platform, tenant)
    with platform.registry.connect(tenant) as conn:
        assert send_soon(conn, platform, tenant) == 0
        assert send_soon(conn, platform, tenant) == 0
    assert not office.sessions
    with platform.control.connect() as conn:
        waiting = [job.task for job in jobs.unfinished(conn, 1000) if job.arguments == {"tenant_id": tenant.id}]
    assert waiting.count(delivery.TASK) == 1
    assert not list(platform.settings.outbox_dir.glob(f"{state(platform, tenant).id}.eml"))


def test_operators_are_told_by_smtp(open_office: OpenOffice, to_office: ToOffice) -> None:
    office = open_office()
    settings = replace(to_office(office).settings, operator_email="ops@of.example")
    assert tell_operators(settings, "alarm-1", "Backups are late", "See status.")
    (letter,) = office.taken
    assert letter["Message-ID"] == "<alarm-1@localhost>"
    assert letter.get_content().split() == ["See", "status."]
    office.sender_answers = ["451 later"]
    with pytest.raises(FailedError):
        tell_operators(settings, "alarm-2", "Backups are late", "See status.")


def test_addresses_beyond_ascii(open_office: OpenOffice, to_office: ToOffice, tenant: Tenant) -> None:
    plain, able = open_office(), open_office(enable_SMTPUTF8=True)
    platform = to_office(plain)
    queue(platform, tenant, "käthe@people.example")
    assert deliver_waiting(platform, tenant) == 0
    assert "beyond ASCII" in state(platform, tenant).last_error
    queue(platform, tenant, "kathe@bücher.example")
    assert deliver_waiting(platform, tenant) == 1
    assert plain.recipients == ["kathe@xn--bcher-kva.example"]
    platform = to_office(able)
    queue(platform, tenant, "käthe@people.example")
    assert deliver_waiting(platform, tenant) == 1
    assert able.recipients == ["käthe@people.example"]
