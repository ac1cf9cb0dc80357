"""What sessions, devices and links leave behind is forgotten in time, and not before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from account_holders import GERMANY, Person
from sqlalchemy import insert, update

from strongroom.platform.portal.access import links
from strongroom.platform.portal.access.upkeep import Forgotten, forget, forget_old_sessions
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.tables import audit_event, challenge, device, mail_link, session

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def set_to(ada: Person, table: Any, **values: object) -> None:
    with ada.workspace.database() as conn:
        conn.execute(update(table).where(table.c.member_id == ada.id).values(**values))


def forget_now(ada: Person) -> Forgotten:
    with ada.workspace.database() as conn:
        return forget(conn, datetime.now(UTC))


@pytest.mark.parametrize(("column", "days"), [("revoked_at", 90), ("last_seen_at", 120)])
def test_places_are_forgotten_90_days_after_the_end(ada: Person, column: str, days: int) -> None:
    window, now = ada.sign_in(GERMANY), datetime.now(UTC)
    set_to(ada, session, **{column: now - days * DAY + HOUR})
    forget_now(ada)
    (row,) = ada.rows(session)
    assert (row.address is None, row.country) == (False, "DE")
    set_to(ada, session, **{column: now - days * DAY - HOUR})
    assert forget_now(ada).places == 1
    (row,) = ada.rows(session)
    assert (row.address, row.country, row.user_agent, row.device_id) == (None, None, None, None)
    assert forget_now(ada).places == 0
    assert window.status() == 401
    with ada.workspace.database() as conn:  # the browser's old cookie is no sign of an attack
        actions = conn.execute(audit_event.select()).all()
    assert "security.unknown_session" not in [row.action for row in actions]


def test_a_session_in_use_is_left_alone(ada: Person) -> None:
    window = ada.sign_in(GERMANY)
    forget_now(ada)
    assert window.status() == 200
    assert ada.rows(session)[0].country == "DE"


def test_sessions_and_devices_go_after_400_days(ada: Person) -> None:
    ada.sign_in()
    old = datetime.now(UTC) - 400 * DAY
    set_to(ada, device, last_seen_at=old + HOUR)
    set_to(ada, session, created_at=old + HOUR)
    forget_now(ada)
    assert (len(ada.rows(session)), len(ada.rows(device))) == (1, 1)
    set_to(ada, device, last_seen_at=old - HOUR)
    set_to(ada, session, created_at=old - HOUR)
    forget_now(ada)
    assert (ada.rows(session), ada.rows(device)) == ([], [])


def test_a_device_goes_while_a_session_still_names_it(ada: Person) -> None:
    window = ada.sign_in()
    set_to(ada, device, last_seen_at=datetime.now(UTC) - 401 * DAY)
    forget_now(ada)
    assert ada.rows(device) == []
    assert window.status() == 200


def test_links_and_challenges_go_when_they_have_run_out(ada: Person) -> None:
    now = datetime.now(UTC)
    with ada.workspace.database() as conn:
        links.make(conn, ada.id, links.NOT_ME, HOUR)
        row = {"id": new_uuid7(), "member_id": ada.id, "purpose": "step_up", "token_hash": new_uuid7().bytes}
        conn.execute(insert(challenge), row | {"expires_at": now})
    forget_now(ada)
    assert (len(ada.rows(mail_link)), len(ada.rows(challenge))) == (1, 1)
    set_to(ada, mail_link, expires_at=now - 90 * DAY - HOUR)
    set_to(ada, challenge, expires_at=now - DAY - HOUR)
    forget_now(ada)
    assert (ada.rows(mail_link), ada.rows(challenge)) == ([], [])


def test_the_worker_does_it_in_every_open_workspace(ada: Person) -> None:
    ada.sign_in()
    set_to(ada, session, revoked_at=datetime.now(UTC) - 91 * DAY)
    forget_old_sessions(ada.workspace.platform)
    assert ada.rows(session)[0].address is None
