"""A workspace is moved or cloned whole, or is where it was; it never has two databases that can be written to."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select, update

from strongroom.backup import clone as cloning
from strongroom.backup import collect, traces
from strongroom.backup import move as moving
from strongroom.backup.clone import Wish, clone
from strongroom.backup.move import move
from strongroom.config.errors import CallError, FailedError, NotFoundError, RefusedError, UnavailableError
from strongroom.platform.audit import queries as operators_audit
from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import placement as placement_table
from strongroom.platform.registry.registry import Registry
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import PlacementState
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning import database, lifecycle
from strongroom.provisioning.gates import gate_findings
from strongroom.provisioning.names import Names
from strongroom.provisioning.repair import repair
from strongroom.provisioning.sessions import provisioner
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7

SECOND = "second"
ALL = len(moving.STEPS)


@pytest.fixture(scope="module")
def second(platform: Platform) -> Server:
    """The same cluster under another name: what is tested is the way there, not the distance."""
    with platform.control.begin() as conn:
        first = servers.list_all(conn)[0]
        place = {"host": first.host, "port": first.port, "kind": first.kind}
        servers.put(conn, name="abroad", region_id="eu", **place)
        return servers.put(conn, name=SECOND, region_id=first.region, **place)


@pytest.fixture
def elsewhere(workspace, second) -> str:
    """The server of the two that the workspace is not on."""
    return SECOND if workspace.tenant().server != SECOND else "embedded"


def server_of(platform: Platform, name: str) -> Server:
    with platform.control.connect() as conn:
        return servers.by_name(conn, name)


def states(platform, workspace) -> list[PlacementState]:
    with platform.control.connect() as conn:
        return [one.state for one in placements.of_tenant(conn, workspace.id)]


def lets_in(platform, pid: str) -> bool:
    """Whether the login of a placement gets into its database: a connection as the web process makes it."""
    with platform.control.connect() as conn:
        name = placements.by_id(conn, pid).server
    server = server_of(platform, name)
    credential = platform.keys.placement(pid)
    try:
        with psycopg.connect(**server.conninfo_params(credential.role), **credential.conninfo_params()):
            return True
    except psycopg.OperationalError:
        return False


def test_a_move_brings_everything_along(platform, workspace, elsewhere) -> None:
    before = workspace.tenant()
    done = move(platform, workspace.slug, elsewhere, operator="olga")
    after = workspace.tenant()
    assert (after.server, after.state) == (elsewhere, TenantState.ACTIVE)
    assert after.placement_id != before.placement_id == done.retired
    assert workspace.merchants() == ["Before"]
    assert workspace.member()[0] == "Wilhelmina Canarius"
    assert workspace.receipt()[0].startswith(b"%PDF")
    workspace.spend("After")
    assert workspace.merchants() == ["After", "Before"]
    with platform.registry.connect(after) as conn:  # members do not notice: their sessions go on
        assert conn.scalar(select(func.count()).where(t.session.c.revoked_at.is_(None))) == 1
    assert gate_findings(platform, server_of(platform, after.server), after.placement_id) == []
    assert not lets_in(platform, before.placement_id)
    with platform.control.connect() as conn:
        old = placements.by_id(conn, before.placement_id)
        newest = operators_audit.newest(conn, 1, workspace.id)[0]
    assert old.state is PlacementState.RETIRED
    assert old.drop_after is not None
    assert 6 <= (old.drop_after - datetime.now(UTC)).days <= 7
    assert (newest.operator, newest.action) == ("olga", "tenant.moved")


def test_a_move_to_where_it_is_does_nothing(platform, workspace, elsewhere) -> None:
    before = workspace.tenant()
    assert move(platform, workspace.slug, before.server).retired is None
    assert workspace.tenant() == before


def test_a_suspended_workspace_stays_suspended(platform, workspace, elsewhere) -> None:
    lifecycle.suspend(platform, workspace.tenant())
    assert move(platform, workspace.slug, elsewhere).tenant.state is TenantState.SUSPENDED


def test_another_region_is_refused(platform, workspace, elsewhere) -> None:
    before = workspace.tenant()
    with pytest.raises(RefusedError, match="stays in the region"):
        move(platform, workspace.slug, "abroad")
    with pytest.raises(NotFoundError):
        move(platform, workspace.slug, "nowhere")
    assert workspace.tenant() == before


@pytest.mark.parametrize("number", [1, 2, 3, ALL - 1, ALL])
def test_a_move_that_fails_leaves_it_where_it_was(platform, workspace, elsewhere, monkeypatch, number) -> None:
    before = workspace.tenant()

    def fail(_work) -> None:
        raise FailedError("no luck")

    steps = (*moving.STEPS[:number], ("failing", fail), *moving.STEPS[number:])
    monkeypatch.setattr(moving, "STEPS", steps)
    with pytest.raises(FailedError, match="no luck"):
        move(platform, workspace.slug, elsewhere)
    after = workspace.tenant()
    switched = number == ALL
    assert after.state is TenantState.ACTIVE
    assert (after.server == elsewhere) == switched
    assert lets_in(platform, before.placement_id) != switched
    workspace.spend("After")
    assert workspace.merchants() == ["After", "Before"]
    assert PlacementState.READY not in states(platform, workspace)


KILLER = """
import os, signal, sys
from pathlib import Path
from strongroom.backup import move
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform

for order in sys.argv[2:]:
    slug, number, server = order.split(":")
    child = os.fork()
    if child == 0:
        steps, die = move.STEPS, ("", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        if number == "fenced":
            real = move.database.fence
            move.database.fence = lambda *place: die[1](real(*place))
        else:
            move.STEPS = (*steps[:int(number)], die, *steps[int(number):])
        with open_platform(load_settings(Path(sys.argv[1]))) as platform:
            move.move(platform, slug, server)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
"""
CURES = {
    "repeating it": lambda platform, workspace, server: move(platform, workspace.slug, server),
    "tenant resume": lambda platform, workspace, _: lifecycle.resume(platform, workspace.tenant()),
    "the collector": lambda platform, *_: collect.undo_restores(platform, datetime.now(UTC)),
}


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        ("1", "the collector"),
        ("2", "tenant resume"),
        ("4", "repeating it"),
        ("6", "tenant resume"),
        ("6", "repeating it"),
        ("fenced", "tenant resume"),
        ("fenced", "repeating it"),
    ],
)
def test_a_killed_move_is_cured(platform, workspace, elsewhere, number, cure) -> None:
    before = workspace.tenant()
    home = str(platform.settings.home)
    subprocess.run(
        [sys.executable, "-c", KILLER, home, f"{workspace.slug}:{number}:{elsewhere}"], check=True, timeout=280
    )
    killed = workspace.tenant()
    assert killed.placement_id == before.placement_id
    if number != "1":  # nobody can write to it until it is cured
        assert killed.state is TenantState.MIGRATING
        assert not lets_in(platform, before.placement_id)
        with pytest.raises(UnavailableError):
            Registry.resolve(platform.registry, f"{workspace.slug}.{platform.settings.base_domain}")
    CURES[cure](platform, workspace, elsewhere)
    after = workspace.tenant()
    assert after.state is TenantState.ACTIVE
    assert (after.server == elsewhere) == (cure == "repeating it")
    assert lets_in(platform, after.placement_id)
    workspace.spend("After")
    assert workspace.merchants() == ["After", "Before"]
    if cure == "repeating it":
        assert sorted(states(platform, workspace)) == ["current", "dropped", "retired"]


@pytest.mark.parametrize("state", [TenantState.MIGRATING, TenantState.RESTORING])
def test_what_is_being_moved_or_restored_cannot_be_suspended(platform, workspace, state) -> None:
    with platform.control.begin() as conn:
        tenants.set_state(conn, workspace.id, state)
    with pytest.raises(RefusedError, match=f"is {state} and cannot be suspended now"):
        lifecycle.suspend(platform, workspace.tenant())
    assert workspace.tenant().state is state
    assert lifecycle.resume(platform, workspace.tenant()).state is TenantState.ACTIVE


@pytest.mark.parametrize("shut", [database.close_to_tenant, database.fence])
def test_resuming_opens_the_database_whatever_has_shut_it(platform, workspace, shut) -> None:
    lifecycle.suspend(platform, workspace.tenant())
    suspended = workspace.tenant()
    with provisioner(platform, server_of(platform, suspended.server)) as session:
        shut(session, Names(suspended.placement_id))
    assert not lets_in(platform, suspended.placement_id)
    lifecycle.resume(platform, suspended)
    assert lets_in(platform, suspended.placement_id)
    assert workspace.merchants() == ["Before"]
    with pytest.raises(RefusedError, match="is active and cannot be resumed now"):
        lifecycle.resume(platform, suspended)


def test_a_clone_is_a_workspace_of_its_own(platform, workspace) -> None:
    slug = f"c-{new_uuid7().hex[8:20]}"
    done = clone(platform, workspace.slug, Wish(slug, "Canary (trial)", "trial@canary.example"))
    copy = workspace.named(slug, done.tenant.id)
    made = copy.tenant()
    assert (made.state, made.slug, made.name, made.region) == (TenantState.ACTIVE, slug, "Canary (trial)", "uk")
    assert done.invited
    workspace.spend("Later")
    assert copy.merchants() == ["Before"]
    platform.keys.destroy_tenant(workspace.id)  # the copy must live without anything of the original
    for path in (platform.settings.receipts_dir / workspace.id).rglob("??/*"):
        path.unlink()
    assert copy.member() == ("Wilhelmina Canarius", "wilhelmina@canary.example")
    assert copy.receipt()[1] == b"preview of " + copy.receipt()[0]
    with platform.registry.connect(made) as conn:
        assert not workspace.has_a_way_in(conn)
        assert conn.scalars(select(t.member.c.last_seen_at)).all() == [None]  # nobody has been there
        assert conn.scalar(select(func.count()).select_from(t.outbox)) == 1  # the new owner's letter, nobody else's
        open_ones = t.invitation.c.accepted_at.is_(None) & t.invitation.c.revoked_at.is_(None)
        assert conn.scalars(select(t.invitation.c.role).where(open_ones)).all() == ["owner"]
        actions = conn.scalars(select(t.audit_event.c.action)).all()
    assert "workspace.copied" in actions


def test_a_member_of_the_original_is_not_invited_again(platform, workspace) -> None:
    slug = f"c-{new_uuid7().hex[8:20]}"
    assert not clone(platform, workspace.slug, Wish(slug, owner="Wilhelmina@Canary.example")).invited


def test_a_clone_that_fails_leaves_nothing(platform, workspace, another, with_program) -> None:
    keys = platform.keys.tenant_ids()
    for wish, error in (
        (Wish(another.slug), RefusedError),
        (Wish("Not A Slug"), CallError),
        (Wish("ok-ok", owner="x"), CallError),
    ):
        with pytest.raises(error):
            clone(platform, workspace.slug, wish)
    broken = with_program("pg_restore", "cat > /dev/null; echo 'error: no luck' >&2; exit 1")
    before = half_dropped(platform)
    with pytest.raises(FailedError, match="no luck"):
        clone(broken, workspace.slug, Wish(f"c-{workspace.slug}"))
    assert platform.keys.tenant_ids() == keys
    assert half_dropped(platform) <= before


def as_old(platform: Platform, pid: str) -> None:
    """Let a database look as if it had been begun long ago."""
    with platform.control.begin() as conn:
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        conn.execute(update(placement_table).where(placement_table.c.id == pid).values(created_at=long_ago))


def test_a_repair_leaves_the_database_of_a_clone_at_work_alone(platform, workspace, monkeypatch) -> None:
    def mend(work) -> None:
        as_old(platform, work.target.names.pid)
        failed = repair(platform, work.server).failed
        assert [one for one in failed if work.target.names.database in one and "another worker" in one]

    monkeypatch.setattr(cloning, "STEPS", (*cloning.STEPS[:2], ("mending", mend), *cloning.STEPS[2:]))
    slug = f"c-{new_uuid7().hex[8:20]}"
    copy = workspace.named(slug, clone(platform, workspace.slug, Wish(slug)).tenant.id)
    assert copy.merchants() == ["Before"]


def receipts_of(platform, tenant_id: str) -> list[Path]:
    return [path for path in (platform.settings.receipts_dir / tenant_id).rglob("*") if path.is_file()]


@pytest.mark.parametrize("number", range(1, len(cloning.STEPS)))
def test_a_clone_that_fails_leaves_no_key_and_no_receipt(platform, workspace, monkeypatch, number) -> None:
    begun: list[str] = []

    def fail(work) -> None:
        begun.append(work.new_id)
        assert work.new_id in platform.keys.tenant_ids()
        raise FailedError("no luck")

    def no_server(*_) -> None:
        raise UnavailableError("It does not answer.")

    monkeypatch.setattr(cloning, "STEPS", (*cloning.STEPS[:number], ("failing", fail), *cloning.STEPS[number:]))
    monkeypatch.setattr(traces, "drop_placement", no_server)
    with pytest.raises(FailedError, match="no luck"):
        clone(platform, workspace.slug, Wish(f"c-{new_uuid7().hex[8:20]}"))
    assert begun[0] not in platform.keys.tenant_ids()
    assert receipts_of(platform, begun[0]) == []


def test_a_clone_whose_database_cannot_be_made_leaves_no_key(platform, workspace, monkeypatch) -> None:
    def no_server(*_, **__) -> None:
        raise UnavailableError("It does not answer.")

    keys = platform.keys.tenant_ids()
    monkeypatch.setattr(cloning, "prepare_database", no_server)
    with pytest.raises(UnavailableError):
        clone(platform, workspace.slug, Wish(f"c-{new_uuid7().hex[8:20]}"))
    assert platform.keys.tenant_ids() == keys


KILLED_CLONE = """
import os, signal, sys
from pathlib import Path
from strongroom.backup import clone
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform

def die(work):
    print(work.new_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

clone.STEPS = (*clone.STEPS[:-1], ("dying", die))
with open_platform(load_settings(Path(sys.argv[1]))) as platform:
    clone.clone(platform, sys.argv[2], clone.Wish(sys.argv[3]))
"""


def test_what_a_killed_clone_has_left_goes_after_a_day_and_nothing_else_does(platform, workspace) -> None:
    slug, unknown = f"c-{new_uuid7().hex[8:20]}", new_id()
    command = [sys.executable, "-c", KILLED_CLONE, str(platform.settings.home), workspace.slug, slug]
    killed = subprocess.run(command, check=False, capture_output=True, timeout=280)
    made = killed.stdout.decode().strip()
    assert receipts_of(platform, made), killed.stderr.decode()
    platform.keys.create_tenant(unknown)  # as of a workspace whose row was lost with the control database
    done = clone(platform, workspace.slug, Wish(slug)).tenant
    collect.collect(platform, datetime.now(UTC) + timedelta(hours=23))
    assert made in platform.keys.tenant_ids()
    collect.collect(platform, datetime.now(UTC) + timedelta(hours=25))
    assert made not in platform.keys.tenant_ids()
    assert receipts_of(platform, made) == []
    assert {workspace.id, done.id, unknown} <= set(platform.keys.tenant_ids())
    assert workspace.receipt()[0] == workspace.named(slug, done.id).receipt()[0]
    platform.keys.destroy_tenant(unknown)


def half_dropped(platform: Platform) -> set[str]:
    """Other tests of this process may have left some."""
    with platform.control.connect() as conn:
        return {p.id for p in placements.in_state(conn, PlacementState.DROPPING)}
