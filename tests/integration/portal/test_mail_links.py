"""Links in mails: they work once, for one purpose, for a while, and for members only."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from strongroom.platform.portal.access import links
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import members

Portal = Any  # the fixture's class, in conftest.py
NOW = datetime.now(UTC)
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def own(portal: Portal) -> Generator[Connection]:
    with portal.database("acme") as conn:
        yield conn
        conn.rollback()


@pytest.fixture
def member_id(portal: Portal) -> UUID:
    return portal.people["acme", Role.MEMBER]


def test_a_link_works_once(own: Connection, member_id: UUID) -> None:
    token = links.make(own, member_id, links.RESET, HALF_AN_HOUR)
    assert links.look(own, token, links.RESET, NOW) == links.look(own, token, links.RESET, NOW) == member_id
    assert links.use(own, token, links.RESET, NOW) == member_id
    assert links.use(own, token, links.RESET, NOW) is None
    assert links.look(own, token, links.RESET, NOW) is None
    assert links.was_made(own, token) and not links.was_made(own, "another")


def test_a_link_is_good_for_its_purpose_only(own: Connection, member_id: UUID) -> None:
    token = links.make(own, member_id, links.UNLOCK, HALF_AN_HOUR)
    assert links.use(own, token, links.RESET, NOW) is None
    assert links.use(own, token, links.UNLOCK, NOW) == member_id


@pytest.mark.parametrize(("seconds", "works"), [(-1, True), (1, False)])
def test_a_link_ends_after_its_time(own: Connection, member_id: UUID, seconds: int, works: bool) -> None:
    token = links.make(own, member_id, links.RESET, HALF_AN_HOUR)
    moment = datetime.now(UTC) + HALF_AN_HOUR + timedelta(seconds=seconds)
    assert (links.use(own, token, links.RESET, moment) is not None) is works


def test_a_newer_reset_makes_the_older_one_useless(own: Connection, member_id: UUID) -> None:
    older, newer = (links.make(own, member_id, links.RESET, HALF_AN_HOUR) for _ in range(2))
    assert links.use(own, older, links.RESET, NOW) is None
    assert links.use(own, newer, links.RESET, NOW) == member_id


def test_a_newer_alarm_leaves_the_older_one(own: Connection, member_id: UUID) -> None:
    older, newer = (links.make(own, member_id, links.NOT_ME, HALF_AN_HOUR) for _ in range(2))
    assert links.use(own, older, links.NOT_ME, NOW) == links.use(own, newer, links.NOT_ME, NOW) == member_id


def test_the_link_of_a_removed_member_is_dead(own: Connection, member_id: UUID) -> None:
    token = links.make(own, member_id, links.RESET, HALF_AN_HOUR)
    members.set_state(own, member_id, "removed")
    assert links.use(own, token, links.RESET, NOW) is None


def test_of_many_at_once_one_succeeds(portal: Portal, member_id: UUID) -> None:
    with portal.database() as conn:
        token = links.make(conn, member_id, links.RESET, HALF_AN_HOUR)
    together = Barrier(3)

    def try_it(_: int) -> UUID | None:
        with portal.database() as conn:
            together.wait()
            return links.use(conn, token, links.RESET, NOW)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(try_it, range(3)))
    assert sorted(results, key=str) == sorted([member_id, None, None], key=str)


def test_another_workspace_knows_nothing_of_it(portal: Portal, own: Connection, member_id: UUID) -> None:
    token = links.make(own, member_id, links.RESET, HALF_AN_HOUR)
    with portal.database("birch") as conn:
        assert links.use(conn, token, links.RESET, NOW) is None
        assert not links.was_made(conn, token)
