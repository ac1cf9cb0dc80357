"""One person is erased from a workspace that goes on, and is still gone after an older backup is restored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select

from strongroom.backup.clone import Wish, clone
from strongroom.backup.erasure.forget import NAME as ERASED
from strongroom.backup.erasure.forget import forget
from strongroom.backup.restore import restore
from strongroom.backup.runs import run_backup
from strongroom.config.errors import CallError, NotFoundError, RefusedError
from strongroom.platform.control.tables import forgotten_person
from strongroom.platform.keys import FieldCipher
from strongroom.platform.mail import outbox
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries.sealed import sealed_columns, sealed_tables

NAME, EMAIL = "Wilhelmina Canarius", "wilhelmina@canary.example"  # as in conftest.py


@pytest.fixture
def office(platform, workspace):
    """A workspace whose canary may leave: there is another owner, and a letter to each of them was sent."""
    cipher, owner_id, invitation_id = FieldCipher(platform.keys.tenant(workspace.id)), new_uuid7(), new_uuid7()
    with platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        conn.execute(
            insert(t.member).values(
                id=owner_id,
                email=cipher.seal(t.member.c.email, owner_id, "olive@owner.example"),
                email_index=cipher.blind(t.member.c.email_index, "olive@owner.example"),
                name=cipher.seal(t.member.c.name, owner_id, "Olive Owner"),
                password_hash="sr1$y",
                role="owner",
            )
        )
        conn.execute(
            insert(t.invitation).values(
                id=invitation_id,
                token_hash=invitation_id.bytes * 2,
                email=cipher.seal(t.invitation.c.email, invitation_id, EMAIL),
                email_index=cipher.blind(t.invitation.c.email_index, EMAIL),
                role="owner",
                expires_at=datetime.now(UTC) + timedelta(days=7),
                accepted_at=datetime.now(UTC),
            )
        )
        add_belongings(conn, cipher, workspace.member_id)
        outbox.queue(conn, cipher, EMAIL, "Join", "A link for you")
        outbox.queue(conn, cipher, "third@other.example", "Join", f"{NAME} invites you")
        outbox.queue(conn, cipher, "third@other.example", "News", "Nothing about anybody")
        outbox.deliver(conn, cipher, platform.settings)
    return workspace


def add_belongings(conn, cipher: FieldCipher, member_id) -> None:
    """One row of every kind that a person can have, and what programs were told of them."""
    one, until = new_uuid7(), datetime.now(UTC) + timedelta(days=9)
    mine = {"id": one, "member_id": member_id}
    rows: list[tuple[Table, dict[str, Any]]] = [
        (t.device, mine | {"token_hash": b"d", "user_agent": NAME, "country": "GB"}),
        (t.session, mine | {"token_hash": b"s", "device_id": one, "country": "GB", "user_agent": NAME}),
        (t.totp, mine | {"secret": NAME}),
        (t.recovery_code, mine | {"code_hash": b"r"}),
        (t.passkey, mine | {"credential_id": b"c", "public_key": b"k", "name": f"{NAME}'s telephone"}),
        (t.challenge, mine | {"token_hash": b"c", "purpose": "step_up", "expires_at": until}),
        (t.mail_link, mine | {"token_hash": b"l", "purpose": "reset", "expires_at": until}),
        (t.permission_use, {"member_id": member_id, "permission": "x", "last_used_on": until}),
        (t.card, mine | {"token": "card_canary", "brand": "Visa", "last_four": "4242"}),
        (
            t.api_token,
            mine
            | {"token_hash": b"t", "hint": "x", "name": NAME, "scopes": [], "expires_at": until}
            | {"last_address": "192.0.2.1"},
        ),
        (
            t.webhook_endpoint,
            {"id": one, "url": "https://x", "description": NAME, "events": [], "secret": "s"}
            | {"created_by": member_id},
        ),
    ]
    for number, payload in enumerate(
        [f'{{"email": "{EMAIL.upper()}"}}', '{"card": "card_canary"}', '{"card": "other"}']
    ):
        row = {"id": new_uuid7(), "source": "cards", "external_id": str(number), "payload": payload, "sent_at": until}
        rows.append((t.incoming_event, row))
    for number, body in enumerate([f'{{"name": "{NAME}"}}', "{}"]):
        row = {"id": new_uuid7(), "api_token_id": one, "key_hash": bytes([number]), "request_hash": b"q", "status": 200}
        rows.append((t.idempotency_key, row | {"body": body}))
        rows.append((t.webhook_event, {"id": new_uuid7(), "type": "member.changed", "payload": body}))
    for table, row in rows:
        sealed = {c.name: cipher.seal(c, row["id"], row[c.name]) for c in sealed_columns(table) if c.name in row}
        conn.execute(insert(table).values(row | sealed))


def everything_about_people(workspace) -> str:
    """Every sealed value of the workspace, opened with its keys, and how members can sign in."""
    cipher = FieldCipher(workspace.platform.keys.tenant(workspace.id))
    sealed = [(table, column) for table in sealed_tables() for column in sealed_columns(table)]
    found: list[str] = []
    with workspace.platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        for table, column in sealed:
            rows = conn.execute(select(table.c.id, column).where(column.is_not(None)))
            found += [cipher.open(column, row[0], row[1]) for row in rows]
    return "\n".join(found)


def assert_forgotten(workspace) -> None:
    content = everything_about_people(workspace)
    for canary in (NAME, EMAIL, "Wilhelmina", "canary.pdf"):
        assert canary not in content
    assert {ERASED, "Olive Owner"} <= set(content.split("\n"))
    with workspace.platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        one = conn.execute(select(t.member).where(t.member.c.id == workspace.member_id)).one()
        columns = t.session.c
        sessions = conn.execute(select(columns.address, columns.user_agent, columns.revoked_at)).all()
        assert [(row.address, row.user_agent) for row in sessions] == [(None, None)] * len(sessions)
        assert all(row.revoked_at for row in sessions)
        assert conn.scalar(select(func.count()).where(t.expense.c.member_id == workspace.member_id)) == 1
        assert_nothing_left(conn, workspace.member_id)
    assert (one.state, one.password_hash, one.last_seen_at) == ("removed", None, None)


def assert_nothing_left(conn, member_id) -> None:
    """Of every table that says whose a row is, only records of the company and ended tokens may have rows."""
    kept = {"expense", "report", "session", "api_token"}
    for table in t.metadata.sorted_tables:
        if "member_id" in table.c and table.name not in kept:
            assert conn.execute(select(table).where(table.c.member_id == member_id)).all() == [], table.name
    assert set(conn.scalars(select(t.session.c.country).where(t.session.c.member_id == member_id))) <= {None}
    token = conn.execute(select(t.api_token.c.revoked_at, t.api_token.c.last_address)).one_or_none()
    assert token is None or (token.revoked_at and token.last_address is None)


def assert_known(workspace) -> None:
    content = everything_about_people(workspace)
    assert all(canary in content for canary in (NAME, EMAIL, "canary.pdf"))


def test_a_forgotten_person_is_gone_and_the_records_stay(platform, office) -> None:
    assert_known(office)
    letters = {path.name for path in platform.settings.outbox_dir.glob("*.eml")}
    done = forget(platform, office.slug, EMAIL.upper(), "olga")
    assert done.ids[0] == office.member_id
    assert done.letters == 2
    assert_forgotten(office)
    assert office.receipt()[0].startswith(b"%PDF")
    assert len(letters - {path.name for path in platform.settings.outbox_dir.glob("*.eml")}) == 2
    with platform.registry.connect(office.tenant()) as conn, conn.begin():
        events = conn.scalars(select(t.audit_event.c.object_id).where(t.audit_event.c.action == "member.forgotten"))
        assert list(events) == [office.member_id]
    with platform.control.connect() as conn:
        rows = conn.execute(select(forgotten_person).where(forgotten_person.c.tenant_id == office.id)).all()
    assert office.member_id in {row.member_id for row in rows}
    assert "canary" not in repr(rows), "the ledger holds ids only"
    with pytest.raises(NotFoundError, match="Nobody"):
        forget(platform, office.slug, EMAIL, "olga")


def test_what_programs_were_told_of_others_stays(platform, office) -> None:
    forget(platform, office.slug, EMAIL, "olga")
    cipher, column = FieldCipher(platform.keys.tenant(office.id)), t.incoming_event.c.payload
    with platform.registry.connect(office.tenant()) as conn, conn.begin():
        rows = conn.execute(select(t.incoming_event.c.id, column).order_by(t.incoming_event.c.external_id)).all()
        assert [cipher.open(column, row[0], row[1]) for row in rows] == ["{}", "{}", '{"card": "other"}']
        assert conn.scalar(select(func.count()).select_from(t.webhook_event)) == 1
        waiting = select(t.incoming_event.c.external_id).where(t.incoming_event.c.processed_at.is_(None))
        assert conn.scalars(waiting).all() == ["2"], "an emptied event is not taken for one that waits"


def test_a_forgotten_person_stays_gone_when_an_older_backup_is_restored(platform, office) -> None:
    run_backup(platform, office.id)
    forget(platform, office.slug, EMAIL, "olga")
    restore(platform, office.slug)
    assert_forgotten(office)


def test_a_forgotten_person_does_not_come_back_in_a_copy(platform, office) -> None:
    run_backup(platform, office.id)
    forget(platform, office.slug, EMAIL, "olga")
    copy = restore(platform, office.slug, as_slug=f"{office.slug}-old").tenant
    assert_forgotten(office.named(copy.slug, copy.id))
    twin = clone(platform, office.slug, Wish(f"{office.slug}-twin")).tenant
    assert_forgotten(office.named(twin.slug, twin.id))


def test_one_who_was_only_invited_is_forgotten_too(platform, office) -> None:
    run_backup(platform, office.id)
    assert "invited@canary.example" in everything_about_people(office)
    forget(platform, office.slug, "invited@canary.example", "olga")
    restore(platform, office.slug)
    content = everything_about_people(office)
    assert "invited@canary.example" not in content
    assert EMAIL in content


def test_one_who_joined_after_the_backup_is_forgotten_as_invited_in_it(platform, office) -> None:
    """The backup knows the invitation only: the ledger names it as well as the member that came of it."""
    email, member_id = "invited@canary.example", new_uuid7()
    cipher = FieldCipher(platform.keys.tenant(office.id))
    run_backup(platform, office.id)
    with platform.registry.connect(office.tenant()) as conn, conn.begin():
        conn.execute(
            insert(t.member).values(
                id=member_id,
                email=cipher.seal(t.member.c.email, member_id, email),
                email_index=cipher.blind(t.member.c.email_index, email),
                name=cipher.seal(t.member.c.name, member_id, "Later Joiner"),
                role="member",
            )
        )
    assert forget(platform, office.slug, email, "olga").ids[0] == member_id
    restore(platform, office.slug)
    assert email not in everything_about_people(office)


def test_the_last_owner_cannot_be_forgotten(platform, workspace) -> None:
    with pytest.raises(RefusedError, match="always has an Owner"):
        forget(platform, workspace.slug, EMAIL, "olga")
    assert_known(workspace)
    with platform.control.connect() as conn:
        ledger = select(func.count()).where(forgotten_person.c.tenant_id == workspace.id)
        assert conn.scalar(ledger) == 0


def test_what_is_no_address_is_refused(platform, workspace) -> None:
    with pytest.raises(CallError):
        forget(platform, workspace.slug, "wilhelmina", "olga")
