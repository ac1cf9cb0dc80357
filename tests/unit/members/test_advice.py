"""Which accounts stand out in the review of access, at the edges of its thresholds; no clock is asked."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

import pytest

from strongroom.platform.portal.members.advice import (
    ABSENT_FOR,
    GOVERNING,
    UNUSED_FOR,
    Account,
    findings,
    first_day,
    is_idle,
    permissions_of,
    unused,
)
from strongroom.platform.web.permissions import Permission, Role
from strongroom.tenant_schema.ids import new_uuid7

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LONG_AGO = NOW - timedelta(days=400)
RECORDED = date(2025, 1, 1)


def account(
    role: Role = Role.ADMIN,
    *,
    seen: datetime | None = NOW,
    used: Collection[str] = (Permission.MANAGE_MEMBERS.value,),
    since: datetime | None = None,
    created: datetime = LONG_AGO,
    joined: bool = True,
) -> Account:
    return Account(new_uuid7(), role, created, since, seen, used, joined)


def said(one: Account, recorded: date | None = RECORDED) -> list[tuple[str, str]]:
    return [(finding.reason, finding.suggestion) for finding in findings(one, recorded, NOW)]


def test_an_admin_who_is_here_and_manages_does_not_stand_out() -> None:
    assert said(account()) == []


@pytest.mark.parametrize(("beyond", "stands_out"), [(-SECOND, False), (timedelta(0), True), (SECOND, True)])
def test_an_admin_stands_out_after_sixty_days_of_absence(beyond: timedelta, stands_out: bool) -> None:
    found = said(account(seen=NOW - ABSENT_FOR - beyond))
    assert found == ([("was not here for 60 days", "could be Member")] if stands_out else [])


@pytest.mark.parametrize(("beyond", "stands_out"), [(-SECOND, False), (timedelta(0), True)])
def test_an_admin_who_uses_nothing_of_it_stands_out_after_ninety_days_in_the_role(
    beyond: timedelta, stands_out: bool
) -> None:
    found = said(account(used=(Permission.SPEND.value,), since=NOW - UNUSED_FOR - beyond))
    assert found == ([("has used no Admin permission for 90 days", "could be Member")] if stands_out else [])


def test_nothing_is_said_of_uses_before_they_were_recorded_for_ninety_days() -> None:
    quiet = account(used=())
    assert said(quiet, None) == []
    assert said(quiet, first_day(NOW) + timedelta(days=1)) == []
    assert said(quiet, first_day(NOW)) != []


@pytest.mark.parametrize("one", sorted(GOVERNING))
def test_each_permission_that_only_governing_roles_have_shows_that_the_role_is_needed(one: Permission) -> None:
    assert said(account(used=(one.value,))) == []


def test_an_owner_who_is_not_needed_is_told_what_to_keep() -> None:
    assert said(account(Role.OWNER, seen=LONG_AGO))[0][1] == "could be Admin or Member, if another Owner stays"


def test_who_never_signed_in_stands_out_in_every_role() -> None:
    for role in Role:
        assert said(account(role, seen=None)) == [("has never signed in", "could be removed")]
    imported = account(Role.MEMBER, seen=None, joined=False)
    assert said(imported) == [("was entered by an import and never joined", "could be removed")]


def test_a_contributor_may_spend_seldom_but_who_sees_everything_should_be_here() -> None:
    assert said(account(Role.CONTRIBUTOR, seen=LONG_AGO, used=())) == []
    assert said(account(Role.READ_ONLY, seen=LONG_AGO, used=())) != []


@pytest.mark.parametrize(("used", "idle"), [(NOW - UNUSED_FOR + SECOND, False), (NOW - UNUSED_FOR, True), (None, True)])
def test_a_token_is_idle_after_ninety_days(used: datetime | None, idle: bool) -> None:
    assert is_idle(LONG_AGO, used, NOW) == idle
    assert not is_idle(NOW, None, NOW)


def test_what_is_unused_is_what_the_role_permits_and_nobody_did() -> None:
    assert set(unused(account(Role.READ_ONLY, used=(Permission.SEE.value,)))) == (
        set(permissions_of(Role.READ_ONLY)) - {Permission.SEE}
    )
