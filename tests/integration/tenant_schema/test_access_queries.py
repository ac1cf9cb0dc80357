"""Members, invitations and sessions in a real database: found by keyed hash, used once, ended for good."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from member_rows import add_member
from sqlalchemy import Connection, Engine, delete, update
from sqlalchemy.exc import IntegrityError

from strongroom.config.errors import NotFoundError, RefusedError
from strongroom.platform.keys import FieldCipher
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import invitations, members, sessions
from strongroom.tenant_schema.tables import invitation, member, session

NOW = datetime.now(UTC)
IDLE = timedelta(days=30)
LONGEST = timedelta(days=90)


def add_person(conn: Connection, cipher: FieldCipher, email: str = "ada@example.com", role: str = "owner") -> UUID:
    return add_member(conn, cipher, email, "Ada Lovelace", role=role, password_hash="sr1$hash")


def invite(conn: Connection, cipher: FieldCipher, token: bytes, days: int = 7) -> UUID:
    row_id = new_uuid7()
    invitations.insert(
        conn,
        id=row_id,
        token_hash=token,
        email=cipher.seal(invitation.c.email, row_id, "bob@example.com"),
        email_index=cipher.blind(invitation.c.email_index, "bob@example.com"),
        role="member",
        invited_by=None,
        expires_at=NOW + timedelta(days=days),
    )
    return row_id


def begin(conn: Connection, member_id: UUID) -> tuple[UUID, bytes]:
    row_id, token = new_uuid7(), os.urandom(32)
    sessions.insert(
        conn,
        id=row_id,
        token_hash=token,
        member_id=member_id,
        method="password",
        address="2001:db8::1",
        user_agent=None,
    )
    return row_id, token


def live(conn: Connection, token: bytes, now: datetime = NOW) -> sessions.LiveSession | None:
    return sessions.live(conn, token, seen_after=now - IDLE, created_after=now - LONGEST)


def test_a_member_is_found_by_id_and_by_blind_index(conn: Connection, cipher: FieldCipher) -> None:
    row_id = add_person(conn, cipher)
    found = members.by_email(conn, cipher.blind(member.c.email_index, "ada@example.com"))
    assert found is not None
    assert found == members.by_id(conn, row_id)
    assert cipher.open(member.c.email, row_id, found.email) == "ada@example.com"
    assert (found.role, found.state, found.password_hash) == ("owner", "active", "sr1$hash")
    assert "sr1$hash" not in repr(found)
    assert members.by_email(conn, cipher.blind(member.c.email_index, "eve@example.com")) is None


def test_an_unknown_member_is_said_to_be_unknown(conn: Connection) -> None:
    for attempt in (
        lambda: members.by_id(conn, new_uuid7()),
        lambda: members.set_role(conn, new_uuid7(), "admin"),
        lambda: members.set_state(conn, new_uuid7(), "removed"),
    ):
        with pytest.raises(NotFoundError):
            attempt()


def test_one_address_is_one_member(conn: Connection, cipher: FieldCipher) -> None:
    add_person(conn, cipher)
    with pytest.raises(RefusedError, match="already a member"):
        add_person(conn, cipher)


def test_what_is_set_is_what_is_listed(conn: Connection, cipher: FieldCipher) -> None:
    ada, bob = add_person(conn, cipher), add_person(conn, cipher, "bob@example.com", "member")
    members.set_role(conn, bob, "admin")
    members.set_approver(conn, bob, ada)
    members.set_name(conn, bob, cipher.seal(member.c.name, bob, "Bob"))
    members.set_password_hash(conn, bob, "sr1$other")
    members.seen(conn, bob, NOW)
    found = members.by_id(conn, bob)
    assert (found.role, found.approver_id, found.password_hash, found.last_seen_at) == ("admin", ada, "sr1$other", NOW)
    assert [each.id for each in members.list_active(conn)] == [ada, bob]
    members.set_state(conn, bob, "removed")
    assert [each.id for each in members.list_active(conn)] == [ada]
    assert [each.id for each in members.list_all(conn)] == [ada, bob]
    assert members.count_active(conn) == 1
    assert members.active_owners(conn) == [ada]


def test_an_invitation_is_accepted_once(conn: Connection, cipher: FieldCipher) -> None:
    token = os.urandom(32)
    row_id = invite(conn, cipher, token)
    found = invitations.by_token(conn, token, NOW)
    assert found is not None
    assert cipher.open(invitation.c.email, row_id, found.email) == "bob@example.com"
    assert invitations.accept(conn, token, NOW) == found
    assert invitations.accept(conn, token, NOW) is None
    assert invitations.by_token(conn, token, NOW) is None
    assert not invitations.revoke(conn, row_id)


def test_of_two_who_accept_at_once_one_gets_it(schema_engine: Engine, cipher: FieldCipher) -> None:
    token = os.urandom(32)
    with schema_engine.begin() as conn:
        row_id = invite(conn, cipher, token)

    def accept(_: int) -> bool:
        with schema_engine.begin() as conn:
            return invitations.accept(conn, token, NOW) is not None

    try:
        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(accept, range(4))) == [False, False, False, True]
    finally:
        with schema_engine.begin() as conn:
            conn.execute(delete(invitation).where(invitation.c.id == row_id))


def test_an_expired_or_revoked_invitation_is_none(conn: Connection, cipher: FieldCipher) -> None:
    expired, revoked, replaced = os.urandom(32), os.urandom(32), os.urandom(32)
    invite(conn, cipher, expired, days=0)
    assert invitations.revoke(conn, invite(conn, cipher, revoked))
    row_id = invite(conn, cipher, replaced)
    assert [each.id for each in invitations.list_open(conn, NOW)] == [row_id]
    assert invitations.revoke_for(conn, cipher.blind(invitation.c.email_index, "bob@example.com")) == 2
    for token in (expired, revoked, replaced, os.urandom(32)):
        assert invitations.by_token(conn, token, NOW) is None
        assert invitations.accept(conn, token, NOW) is None
    assert invitations.list_open(conn, NOW) == []


def test_inviting_twice_with_one_token_changes_nothing(conn: Connection, cipher: FieldCipher) -> None:
    token = os.urandom(32)
    row_id = invite(conn, cipher, token)
    invite(conn, cipher, token)
    found = invitations.by_token(conn, token, NOW)
    assert found is not None
    assert found.id == row_id


def test_a_session_is_live_until_it_was_idle_too_long(conn: Connection, cipher: FieldCipher) -> None:
    ada = add_person(conn, cipher)
    row_id, token = begin(conn, ada)
    started = live(conn, token)
    assert started is not None
    assert (started.id, started.member_id, started.role) == (row_id, ada, "owner")
    seen = started.last_seen_at
    assert live(conn, token, seen + IDLE - timedelta(seconds=1)) is not None
    assert live(conn, token, seen + IDLE + timedelta(seconds=1)) is None
    sessions.touch(conn, row_id, seen + timedelta(days=29))
    assert live(conn, token, seen + timedelta(days=58)) is not None
    assert live(conn, token, seen + LONGEST + timedelta(seconds=1)) is None


def test_using_a_session_never_moves_it_back(conn: Connection, cipher: FieldCipher) -> None:
    row_id, token = begin(conn, add_person(conn, cipher))
    sessions.touch(conn, row_id, NOW - timedelta(days=40))
    assert live(conn, token) is not None


def test_an_ended_session_is_none(conn: Connection, cipher: FieldCipher) -> None:
    ada, bob = add_person(conn, cipher), add_person(conn, cipher, "bob@example.com")
    (one, first), (two, second), (_, third) = begin(conn, ada), begin(conn, ada), begin(conn, bob)
    assert not sessions.revoke(conn, one, bob)
    assert sessions.revoke(conn, one, ada)
    assert not sessions.revoke(conn, one, ada)
    assert live(conn, first) is None
    times = {"seen_after": NOW - IDLE, "created_after": NOW - LONGEST}
    assert [(each.id, each.address) for each in sessions.of_member(conn, ada, **times)] == [(two, "2001:db8::1")]
    begin(conn, ada)
    assert sessions.revoke_all(conn, ada, keep=two) == 1
    assert live(conn, second) is not None
    sessions.revoke_token(conn, second)
    assert live(conn, second) is None
    assert live(conn, third) is not None
    assert sessions.revoke_all(conn, bob) == 1
    assert live(conn, third) is None


def test_a_removed_member_has_no_session(conn: Connection, cipher: FieldCipher) -> None:
    ada = add_person(conn, cipher)
    _, token = begin(conn, ada)
    members.set_state(conn, ada, "removed")
    assert live(conn, token) is None


def test_the_database_takes_no_role_and_no_state_of_its_own(conn: Connection, cipher: FieldCipher) -> None:
    ada = add_person(conn, cipher)
    for values in ({"role": "root"}, {"state": "asleep"}):
        with pytest.raises(IntegrityError), conn.begin_nested():
            conn.execute(update(member).where(member.c.id == ada).values(values))


def test_a_session_needs_a_member(conn: Connection) -> None:
    with pytest.raises(IntegrityError), conn.begin_nested():
        begin(conn, new_uuid7())
    assert conn.execute(delete(session)).rowcount == 0
