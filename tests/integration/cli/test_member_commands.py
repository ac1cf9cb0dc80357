"""An operator can take the second factors of somebody away who has lost all; both logs and the member hear of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select

from strongroom.platform.audit import queries as operators_audit
from strongroom.platform.keys import FieldCipher
from strongroom.platform.mail.outbox import opened
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import factors, members, passkeys
from strongroom.tenant_schema.tables import audit_event, member, outbox, passkey, session, totp

OWNER = "lone-owner@x.example"
COMMAND = ("member", "reset-factors")
REASON = ("--reason", "request 4711")


@pytest.fixture
def owner(platform: Any, tenant: Any) -> Any:
    """The id of an owner with an app, a passkey, recovery codes and a session."""
    cipher, row_id, now = FieldCipher(platform.keys.tenant(tenant.id)), new_uuid7(), datetime.now(UTC)
    app, key = new_uuid7(), new_uuid7()
    with platform.registry.connect(tenant) as conn, conn.begin():
        members.insert(
            conn,
            id=row_id,
            email=cipher.seal(member.c.email, row_id, OWNER),
            email_index=cipher.blind(member.c.email_index, OWNER),
            name=cipher.seal(member.c.name, row_id, "Ann"),
            password_hash="x",
            role="owner",
        )
        factors.begin_totp(conn, totp_id=app, member_id=row_id, secret=cipher.seal(totp.c.secret, app, "x"))
        factors.confirm_totp(conn, app, 1, now)
        factors.replace_codes(conn, row_id, [(new_uuid7(), b"x" * 32)])
        named = {"id": key, "name": cipher.seal(passkey.c.name, key, "Phone")}
        passkeys.add(conn, named | {"member_id": row_id, "credential_id": b"x", "public_key": b""})
    return row_id


def ask(platform: Any, tenant: Any, look: Any) -> Any:
    with platform.registry.connect(tenant) as conn, conn.begin():
        return look(conn)


def has_factors(platform: Any, tenant: Any, whose: Any) -> tuple[bool, int]:
    return ask(platform, tenant, lambda conn: (factors.has_second_factor(conn, whose), factors.codes_left(conn, whose)))


def test_all_factors_go_and_everybody_hears_of_it(as_json: Any, platform: Any, tenant: Any, owner: Any) -> None:
    assert has_factors(platform, tenant, owner) == (True, 1)
    code, row = as_json(*COMMAND, tenant.slug, OWNER.upper(), *REASON, "--yes")
    assert (code, row["member"]) == (0, str(owner))
    assert has_factors(platform, tenant, owner) == (False, 0)
    event = audit_event.c
    wanted = select(event.actor_id, event.object_id, event.detail).where(event.action == "member.factors_reset")
    noted = ask(platform, tenant, lambda conn: conn.execute(wanted).all())
    assert noted == [(None, owner, {"by": "operator", "reason": "request 4711"})]
    with platform.control.connect() as control:
        said = operators_audit.of_tenant(control, tenant.id, ["member.factors_reset"])
    assert [one.detail for one in said] == [{"member": str(owner), "reason": "request 4711"}]
    letter = newest_letter(platform, tenant)
    assert letter.recipient == OWNER
    assert "All second factors of your account" in letter.body
    assert "By: the operators of this service" in letter.body
    assert f"{platform.settings.workspace_url(tenant.slug)}/not-me/" in letter.body


def test_the_sessions_end(as_json: Any, platform: Any, tenant: Any, owner: Any) -> None:
    values = {"id": new_uuid7(), "member_id": owner, "token_hash": b"t" * 32, "method": "password"}
    ask(platform, tenant, lambda conn: conn.execute(insert(session), values))
    assert as_json(*COMMAND, tenant.slug, OWNER, *REASON, "--yes")[0] == 0
    ended = select(session.c.revoked_at).where(session.c.member_id == owner)
    assert all(ask(platform, tenant, lambda conn: conn.scalars(ended).all()))


def test_without_yes_nothing_happens(strongroom: Any, platform: Any, tenant: Any, owner: Any) -> None:
    assert strongroom(*COMMAND, tenant.slug, OWNER, *REASON)[0] == 2
    assert has_factors(platform, tenant, owner) == (True, 1)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "asked by anna@x.example"])
def test_a_reason_that_will_not_do_is_refused(
    strongroom: Any, platform: Any, tenant: Any, owner: Any, reason: str
) -> None:
    assert strongroom(*COMMAND, tenant.slug, OWNER, "--reason", reason, "--yes")[0] == 2
    assert has_factors(platform, tenant, owner) == (True, 1)


def test_who_is_not_there_is_3_and_who_has_none_is_4(strongroom: Any, tenant: Any, owner: Any) -> None:
    assert strongroom(*COMMAND, tenant.slug, "nobody@x.example", *REASON, "--yes")[0] == 3
    assert strongroom(*COMMAND, "no-such-place", OWNER, *REASON, "--yes")[0] == 3
    assert strongroom(*COMMAND, tenant.slug, OWNER, *REASON, "--yes")[0] == 0
    assert strongroom(*COMMAND, tenant.slug, OWNER, *REASON, "--yes")[0] == 4
    assert strongroom("tenant", "suspend", tenant.slug, "--yes")[0] == 0
    assert strongroom(*COMMAND, tenant.slug, OWNER, *REASON, "--yes")[0] == 4


def newest_letter(platform: Any, tenant: Any) -> Any:
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    columns = (outbox.c.id, outbox.c.recipient, outbox.c.subject, outbox.c.body, outbox.c.created_at)
    row = ask(platform, tenant, lambda conn: conn.execute(select(*columns).order_by(outbox.c.id.desc())).first())
    return opened(row, cipher)
