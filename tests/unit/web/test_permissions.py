"""The permission table, written out a second time so that a change of it is a decision."""

import pytest

from strongroom.platform.web.permissions import (
    ALLOWED,
    Permission,
    Role,
    Scope,
    allowed,
    may_grant,
    may_manage,
    scope,
)

OWNER, ADMIN, MEMBER, CONTRIBUTOR, READ_ONLY = Role
EVERYBODY = set(Role)


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        (Permission.USE, EVERYBODY),
        (Permission.SPEND, EVERYBODY - {READ_ONLY}),
        (Permission.SEE, EVERYBODY),
        (Permission.APPROVE, {OWNER, ADMIN, MEMBER}),
        (Permission.REASSIGN, {OWNER, ADMIN}),
        (Permission.EDIT_SUBMITTED, {OWNER, ADMIN, MEMBER}),
        (Permission.PAY, {OWNER, ADMIN}),
        (Permission.ANALYSE, EVERYBODY),
        (Permission.CONFIGURE, {OWNER, ADMIN}),
        (Permission.VIEW_CONFIGURATION, {OWNER, ADMIN, READ_ONLY}),
        (Permission.MANAGE_MEMBERS, {OWNER, ADMIN}),
        (Permission.AUDIT_LOG, {OWNER, ADMIN}),
        (Permission.INTEGRATE, {OWNER, ADMIN}),
        (Permission.GOVERN, {OWNER}),
    ],
)
def test_who_has_which_permission(permission: Permission, roles: set[Role]) -> None:
    assert {role for role in Role if allowed(role, permission)} == roles


def test_the_table_names_every_permission_and_every_role() -> None:
    assert set(ALLOWED) == set(Permission)
    assert all(set(row) == set(Role) for row in ALLOWED.values())


def test_what_the_table_does_not_say_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ALLOWED, Permission.SEE)
    assert not any(allowed(role, Permission.SEE) for role in Role)


def test_how_far_each_role_sees() -> None:
    reach = {role: scope(role, Permission.SEE) for role in Role}
    assert reach == {
        OWNER: Scope.ALL,
        ADMIN: Scope.ALL,
        MEMBER: Scope.ASSIGNED,
        CONTRIBUTOR: Scope.OWN,
        READ_ONLY: Scope.ALL,
    }


def test_only_an_owner_makes_owners_and_admins() -> None:
    assert {role for role in Role if may_grant(OWNER, role)} == EVERYBODY
    assert {role for role in Role if may_grant(ADMIN, role)} == {MEMBER, CONTRIBUTOR, READ_ONLY}
    assert not any(may_grant(actor, role) for actor in (MEMBER, CONTRIBUTOR, READ_ONLY) for role in Role)


def test_an_admin_never_touches_an_owner() -> None:
    assert {role for role in Role if may_manage(ADMIN, role)} == EVERYBODY - {OWNER}
    assert not any(may_manage(actor, role) for actor in (MEMBER, CONTRIBUTOR, READ_ONLY) for role in Role)
