"""Links in mails: once, in time, for one purpose, and only in the workspace that sent them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from strongroom.platform.portal.access import links
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import mail_link, member

Portal = Any  # the fixture's class, in conftest.py
HOUR = timedelta(hours=1)


def test_a_link_is_good_once_and_for_its_purpose(portal: Portal) -> None:
    now, person = datetime.now(UTC), portal.people["acme", Role.MEMBER]
    with portal.database() as conn:
        token = links.make(conn, person, links.RESET, HOUR)
        assert links.use(conn, token, links.NOT_ME, now) is None
        assert links.look(conn, token, links.RESET, now) == person
        assert links.use(conn, token, links.RESET, now) == person
        assert links.use(conn, token, links.RESET, now) is None
        assert links.look(conn, token, links.RESET, now) is None


def test_a_link_ends_at_its_time(portal: Portal) -> None:
    person = portal.people["acme", Role.MEMBER]
    with portal.database() as conn:
        token = links.make(conn, person, links.RESET, HOUR)
        end = conn.execute(
            select(mail_link.c.expires_at).where(mail_link.c.token_hash == links.hash_of(token))
        ).scalar_one()
        second = timedelta(seconds=1)
        assert links.look(conn, token, links.RESET, end - second) == person
        assert links.look(conn, token, links.RESET, end) is None
        assert links.use(conn, token, links.RESET, end + second) is None


def test_a_link_is_nothing_in_another_workspace(portal: Portal) -> None:
    with portal.database("acme") as conn:
        token = links.make(conn, portal.people["acme", Role.MEMBER], links.RESET, HOUR)
    with portal.database("birch") as conn:
        assert links.use(conn, token, links.RESET, datetime.now(UTC)) is None


def test_a_removed_member_has_no_good_links(portal: Portal) -> None:
    person = portal.people["maple", Role.CONTRIBUTOR]
    with portal.database("maple") as conn:
        token = links.make(conn, person, links.RESET, HOUR)
        conn.execute(update(member).where(member.c.id == person).values(state="removed"))
        assert links.use(conn, token, links.RESET, datetime.now(UTC)) is None
        conn.execute(update(member).where(member.c.id == person).values(state="active"))


def test_the_database_knows_only_the_hash_of_a_link(portal: Portal) -> None:
    with portal.database() as conn:
        token = links.make(conn, portal.people["acme", Role.MEMBER], links.RESET, HOUR)
        stored = conn.execute(select(mail_link.c.token_hash)).scalars().all()
        assert links.hash_of(token) in stored
        assert token.encode() not in b"".join(stored)
