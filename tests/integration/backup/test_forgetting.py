"""One person is erased from a workspace that goes on, and is still gone after an older backup is restored."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select

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
        outbox.queue(conn, cipher, EMAIL, "Join", "A link for you")
        outbox.queue(conn, cipher, "third@other.example", "Join", f"{NAME} invites you")
        outbox.queue(conn, cipher, "third@other.example", "News", "Nothing about anybody")
        outbox.deliver(conn, cipher, platform.settings)
    return workspace


def everything_about_people(workspace) -> str:
    """Every sealed value of the workspace, opened with its keys, and how members can sign in."""
    cipher = FieldCipher(workspace.platform.keys.tenant(workspace.id))
    sealed = [
        (table, column)
        for table in (t.member, t.invitation, t.session, t.outbox, t.receipt)
        for column in table.c
        if column.type.__class__.__name__ == "Sealed"
    ]
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
    assert (one.state, one.password_hash, one.last_seen_at) == ("removed", None, None)


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
