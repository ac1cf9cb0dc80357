"""Every database gets the newest revision wholly or not at all, and what is recorded is what is there."""

import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom.config.errors import RefusedError
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers.records import Server
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.provisioning import database
from strongroom.provisioning.create import provision, request_tenant, tenant_lock
from strongroom.provisioning.fleet import fingerprint, queries
from strongroom.provisioning.fleet.database import Patience
from strongroom.provisioning.fleet.migrate import Report, Wish, divided, migrate_fleet
from strongroom.provisioning.gates import gate_findings
from strongroom.provisioning.names import TEMPLATE, Names
from strongroom.provisioning.placements import finish_database, prepare_database
from strongroom.provisioning.sessions import Session, migrator, provisioner
from strongroom.provisioning.template import exclusively_opened, marked_revision
from strongroom.tenant_schema.migrate import newest_revision

IMPATIENT = Patience(tries=2, lock_ms=50, pause=0.01)


@pytest.fixture(scope="module")
def fleet(platform: Platform, server: Server) -> list[Tenant]:
    """Workspaces, and beside them a finished database that waits for one."""
    made: list[Tenant] = []
    for _ in range(6):
        with platform.control.begin() as conn:
            pending = request_tenant(
                conn, platform.settings, platform.keys, slug=f"f-{new_id()}", name="Fleet", owner_email="o@f.example"
            )
        made.append(provision(platform, pending.id))
    waiting = prepare_database(platform, server.name)
    finish_database(platform, waiting.id, newest_revision())
    with platform.control.begin() as conn:
        conn.exec_driver_sql("UPDATE placement SET spare = true WHERE id = %s", (waiting.id,))
    return made


def migrate(platform: Platform, folder: Path, **wish: object) -> Report:
    return migrate_fleet(platform, replace(Wish(folder=folder, patience=IMPATIENT, canaries=0), **wish))  # pyright: ignore[reportArgumentType]


def column(number: str) -> str:
    return f'op.execute("ALTER TABLE app.expense ADD COLUMN added_{number} text")'


def now(platform: Platform, tenant: Tenant) -> Tenant:
    with platform.control.connect() as conn:
        return tenants.by_id(conn, tenant.id)


def recorded(platform: Platform, tenant: Tenant) -> set[str | None]:
    """What the control plane believes: of the tenant, and of its database."""
    with platform.control.connect() as conn:
        assert tenant.placement_id
        return {
            tenants.by_id(conn, tenant.id).schema_revision,
            placements.by_id(conn, tenant.placement_id).schema_revision,
        }


@contextmanager
def inside(platform: Platform, server: Server, tenant: Tenant) -> Generator[Session]:
    with migrator(platform, server, tenant.database) as session:
        session.execute(f'SET ROLE "{tenant.owner_role}"')  # pyright: ignore[reportArgumentType]
        yield session


def stamped(platform: Platform, server: Server, tenant: Tenant) -> str:
    with inside(platform, server, tenant) as session:
        return fingerprint.columns(session)[0]


def added(platform: Platform, server: Server, tenant: Tenant) -> set[str]:
    with inside(platform, server, tenant) as session:
        rows = session.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'app.expense'::regclass").fetchall()
    return {row[0] for row in rows if row[0].startswith("added_")}


def template_shape(platform: Platform, server: Server) -> str:
    with provisioner(platform, server) as session, exclusively_opened(session):
        with migrator(platform, server, TEMPLATE) as there:
            return fingerprint.shape(there)


def shape(platform: Platform, server: Server, tenant: Tenant) -> str:
    with migrator(platform, server, tenant.database) as session:
        return fingerprint.shape(session)


def test_everything_gets_the_column_and_the_mark(platform, server, fleet, revisions) -> None:
    folder = revisions(column("first"))
    before = [now(platform, one).generation for one in fleet]
    report = migrate(platform, folder, canaries=2)
    newest = newest_revision(folder)
    assert (report.complete, report.upgraded, report.current) == (True, len(fleet) + 1, 0), report
    for one, generation in zip(fleet, before, strict=True):
        assert recorded(platform, one) == {newest} == {stamped(platform, server, one)}
        assert "added_first" in added(platform, server, one)
        assert shape(platform, server, one) == template_shape(platform, server)
        assert now(platform, one).generation > generation  # processes renew their connections
        assert gate_findings(platform, server, one.placement_id or "") == []
    with provisioner(platform, server) as session:
        assert marked_revision(session) == newest
    with platform.control.connect() as conn:
        assert queries.outcome(conn, newest) == {"done": len(fleet) + 1}


def test_a_second_run_opens_no_database(platform, server, fleet, revisions) -> None:
    folder = revisions(column("second"))
    migrate(platform, folder)
    with provisioner(platform, server) as session:
        session.execute("SET ROLE strongroom_owner")
        for one in fleet:
            session.execute(f'ALTER DATABASE "{one.database}" ALLOW_CONNECTIONS false')
        try:
            report = migrate(platform, folder)
        finally:
            for one in fleet:
                session.execute(f'ALTER DATABASE "{one.database}" ALLOW_CONNECTIONS true')
    assert (report.complete, report.upgraded, report.current) == (True, 0, len(fleet) + 1)


def test_a_held_lock_fails_one_tenant_and_leaves_it_whole(platform, server, fleet, revisions) -> None:
    folder, held = revisions(column("third")), fleet[2]
    before = recorded(platform, held)
    with inside(platform, server, held) as session, session.transaction():
        session.execute("LOCK TABLE app.expense IN ACCESS SHARE MODE")
        report = migrate(platform, folder)
    assert [(one.database.slug, one.failure) for one in report.failed] == [
        (held.slug, "A lock that the upgrade needs was held by somebody else at every try.")
    ]
    assert recorded(platform, held) == before == {stamped(platform, server, held)}
    assert "added_third" not in added(platform, server, held)
    assert report.upgraded == len(fleet)
    with platform.control.connect() as conn:
        assert [one.slug for one in queries.failures(conn, report.revision)] == [held.slug]
    again = migrate(platform, folder)
    assert (again.complete, again.upgraded, again.current) == (True, 1, len(fleet))
    assert "added_third" in added(platform, server, held)
    with platform.control.connect() as conn:
        assert queries.failures(conn, report.revision) == []


def test_a_lock_that_is_let_go_is_waited_for(platform, server, fleet, revisions) -> None:
    folder = revisions(column("patient"))
    with inside(platform, server, fleet[0]) as session:
        session.execute("BEGIN; LOCK TABLE app.expense IN ACCESS SHARE MODE")
        seen: list[str] = []

        def let_go(step: str) -> None:  # called when the first other one is done, while this one waits
            seen.append(step)
            if len(seen) == 1:
                session.execute("COMMIT")

        wish = Wish(0, 2, 0, folder, Patience(tries=2000, lock_ms=50, pause=0.01))
        assert migrate_fleet(platform, wish, let_go).complete


def test_a_conflicting_column_fails_that_tenant_alone(platform, server, fleet, revisions) -> None:
    folder, odd = revisions(column("fourth")), fleet[1]
    with inside(platform, server, odd) as session:
        session.execute("ALTER TABLE app.expense ADD COLUMN added_fourth integer")
    report = migrate(platform, folder)
    assert [one.failure for one in report.failed] == [
        'PostgreSQL refused the upgrade: column "added_fourth" of relation "expense" already exists.'
    ]
    assert report.upgraded == len(fleet)
    assert stamped(platform, server, odd) != newest_revision(folder)
    with inside(platform, server, odd) as session:
        session.execute("ALTER TABLE app.expense DROP COLUMN added_fourth")
    assert migrate(platform, folder).complete


def test_a_schema_that_had_drifted_is_found_and_not_stamped(platform, server, fleet, revisions) -> None:
    folder, odd = revisions(column("fifth")), fleet[3]
    with inside(platform, server, odd) as session:
        session.execute("ALTER TABLE app.expense ADD COLUMN stray text")
    report = migrate(platform, folder)
    assert [one.failure for one in report.failed] == ["Its tables would differ from the template's after the upgrade."]
    assert {stamped(platform, server, odd)} == recorded(platform, odd) != {newest_revision(folder)}
    with inside(platform, server, odd) as session:
        session.execute("ALTER TABLE app.expense DROP COLUMN stray")
    assert migrate(platform, folder).complete


def test_a_missing_index_is_found_afterwards(platform, server, fleet, revisions) -> None:
    folder, odd = revisions(column("sixth")), fleet[4]
    with inside(platform, server, odd) as session:
        definition = session.execute("SELECT pg_get_indexdef('app.ix_expense_spent_on_id'::regclass)").fetchone()
        session.execute("DROP INDEX app.ix_expense_spent_on_id")
    report = migrate(platform, folder)
    repeated = migrate(platform, folder)  # has nothing to upgrade, and does not forget
    assert [one.database.slug for one in report.differing] == [odd.slug]
    assert [one.database.slug for one in repeated.differing] == [odd.slug]
    assert (repeated.upgraded, report.complete, repeated.complete) == (0, False, False)
    with platform.control.connect() as conn:
        assert [one.slug for one in queries.failures(conn, report.revision)] == [odd.slug]
    with inside(platform, server, odd) as session:
        assert definition
        session.execute(definition[0])
    assert migrate(platform, folder).complete
    with platform.control.connect() as conn:
        assert set(queries.outcome(conn, report.revision)) == {"done"}


def test_a_run_that_was_killed_before_it_compared_leaves_that_to_the_next(platform, server, fleet, revisions) -> None:
    folder, odd = revisions(column("unseen")), fleet[4]
    with inside(platform, server, odd) as session:
        definition = session.execute("SELECT pg_get_indexdef('app.ix_expense_spent_on_id'::regclass)").fetchone()
        session.execute("DROP INDEX app.ix_expense_spent_on_id")
    assert killed_at("compared", 1, platform, folder) == -9
    report = migrate(platform, folder)
    assert (report.upgraded, [one.database.slug for one in report.differing]) == (0, [odd.slug])
    with inside(platform, server, odd) as session:
        assert definition
        session.execute(definition[0])
    assert migrate(platform, folder).complete


def test_a_failing_canary_stops_everything(platform, server, fleet, revisions) -> None:
    folder = revisions(column("seventh"))
    for one in fleet:
        with inside(platform, server, one) as session:
            session.execute("ALTER TABLE app.expense ADD COLUMN added_seventh integer")
    report = migrate(platform, folder, canaries=2)
    assert (report.upgraded, len(report.failed), report.left) == (0, 1, len(fleet))
    assert report.stopped and "canary" in report.stopped
    stopped = migrate(platform, folder, budget=1, parallel=1)
    assert (stopped.upgraded <= 1, len(stopped.failed), stopped.left) == (True, 2, len(fleet) - 1 - stopped.upgraded)
    for one in fleet:
        with inside(platform, server, one) as session:
            session.execute("ALTER TABLE app.expense DROP COLUMN added_seventh")
    assert migrate(platform, folder).complete


def test_a_new_table_gets_its_owner_and_rights(platform, server, fleet, revisions) -> None:
    folder = revisions('op.create_table("trip", sa.Column("id", sa.Uuid, primary_key=True), schema="app")')
    assert migrate(platform, folder).complete
    with platform.registry.connect(now(platform, fleet[0])) as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM app.trip").scalar_one() == 0
    assert gate_findings(platform, server, fleet[0].placement_id or "") == []


def test_revisions_that_compute_run_in_processes(platform, server, fleet, revisions) -> None:
    body = """
count = op.get_bind().exec_driver_sql("SELECT count(*) FROM app.category").scalar_one()
op.execute(f"ALTER TABLE app.category ADD COLUMN added_at_{'many' if count else 'none'} text")
"""
    revisions(column("eighth"))
    folder = revisions(body, needs_python=True)
    report = migrate(platform, folder)
    assert (report.complete, report.upgraded) == (True, len(fleet) + 1), report
    for one in fleet:
        assert "added_eighth" in added(platform, server, one)
        assert recorded(platform, one) == {newest_revision(folder)} == {stamped(platform, server, one)}


def test_a_workspace_in_other_hands_is_left_for_the_next_run(platform, fleet, revisions) -> None:
    folder = revisions(column("ninth"))
    with tenant_lock(platform, fleet[5].id):
        report = migrate(platform, folder)
    assert (report.upgraded, report.left, report.failed) == (len(fleet), 1, [])
    assert not report.complete
    assert migrate(platform, folder).complete


@pytest.fixture
def fleeting(
    platform: Platform, server: Server, fleet: list[Tenant], revisions: Callable[..., Path]
) -> Generator[Tenant]:
    """A workspace whose database is shut during the test, and everybody's again after it."""
    one = fleet[0]
    yield one
    set_state(platform, one, PlacementState.CURRENT)
    with provisioner(platform, server) as session:
        database.open_to_tenant(session, Names(one.placement_id or ""))
    assert migrate(platform, revisions(column(f"opened_{new_id()}"))).complete


def set_state(platform: Platform, one: Tenant, state: PlacementState) -> None:
    with platform.control.begin() as conn:
        placements.set_state(conn, one.placement_id or "", state)


def shut(platform: Platform, server: Server, one: Tenant) -> None:
    with provisioner(platform, server) as session:
        database.fence(session, Names(one.placement_id or ""))


def leave(platform: Platform, server: Server, one: Tenant) -> None:
    """Do to its database what a restore or move does to the one that it leaves."""
    shut(platform, server, one)
    set_state(platform, one, PlacementState.RETIRED)


def before(monkeypatch: pytest.MonkeyPatch, moment: str, one: Tenant, act: Callable[[], None]) -> None:
    """Do something just before the upgrade of one workspace gets to that call."""
    original = getattr(queries, moment)

    def wrapped(*arguments: Any) -> Any:
        if any(isinstance(given, queries.Database) and given.tenant_id == one.id for given in arguments):
            act()
        return original(*arguments)

    monkeypatch.setattr(queries, moment, wrapped)


@pytest.mark.parametrize("moment", ["start", "release"])
def test_a_workspace_that_moved_meanwhile_has_not_failed(
    platform, server, fleeting, revisions, monkeypatch, moment
) -> None:
    folder = revisions(column(f"moved_{moment}"))
    before(monkeypatch, moment, fleeting, lambda: leave(platform, server, fleeting))
    report = migrate(platform, folder)
    assert report.complete, report
    assert report.current == (moment == "start")


def test_a_database_that_does_not_answer_has_failed_and_does_not_differ(
    platform, server, fleeting, revisions, monkeypatch
) -> None:
    folder = revisions(column("shut"))
    before(monkeypatch, "release", fleeting, lambda: shut(platform, server, fleeting))
    report = migrate(platform, folder)
    assert ([one.database.slug for one in report.failed], report.differing) == ([fleeting.slug], [])
    assert not report.complete


def test_a_spare_follows(platform, server, fleet, revisions) -> None:
    folder = revisions(column("tenth"))
    assert migrate(platform, folder).complete
    with platform.control.connect() as conn:
        assert [one.schema_revision for one in placements.spares(conn, server.name)] == [newest_revision(folder)]


def test_two_runs_at_once_are_refused(platform, fleet, revisions) -> None:
    folder = revisions(column("eleventh"))
    refused: list[RefusedError] = []

    def second(_step: str) -> None:
        with pytest.raises(RefusedError, match="at work") as error:
            migrate(platform, folder)
        refused.append(error.value)

    assert migrate_fleet(platform, Wish(0, 1, 0, folder), second).complete
    assert refused


KILLED = """
import os, signal, sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.provisioning.fleet import workers
from strongroom.provisioning.fleet import queries
from strongroom.provisioning.fleet.migrate import Wish, migrate_fleet

left = [int(sys.argv[4])]
moment = sys.argv[3]
original = getattr(queries, moment)

def dies(*arguments):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)

setattr(queries, moment, dies)
with open_platform(load_settings(Path(sys.argv[1]))) as platform:
    migrate_fleet(platform, Wish(0, 1, 0, Path(sys.argv[2])))
"""


def killed_at(moment: str, count: int, platform: Platform, folder: Path) -> int:
    """Run `fleet migrate` in a process that kills itself when it calls `queries.<moment>` for the `count`th time."""
    arguments = [str(platform.settings.home), str(folder), moment, str(count)]
    run = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=280)
    return run.returncode


@pytest.mark.parametrize("moment", ["start", "finish", "release"])
def test_a_killed_run_is_taken_up_again(platform, server, fleet, revisions, moment) -> None:
    folder = revisions(column(f"killed_{moment}"))
    assert killed_at(moment, 3, platform, folder) == -9
    for one in fleet:  # what is stamped is what is there, at the moment of the kill too
        there = f"added_killed_{moment}" in added(platform, server, one)
        assert there == (stamped(platform, server, one) == newest_revision(folder))
    report = migrate(platform, folder)
    assert report.complete
    assert 0 < report.upgraded <= len(fleet)
    for one in fleet:
        assert recorded(platform, one) == {newest_revision(folder)} == {stamped(platform, server, one)}
        assert f"added_killed_{moment}" in added(platform, server, one)
    with platform.control.connect() as conn:
        assert set(queries.outcome(conn, report.revision)) == {"done"}


def test_canaries_are_workspaces_before_spares() -> None:
    databases = [queries.Database(str(n), "s", None if n < 8 else "t", None, "0001") for n in range(10)]
    canaries, others = divided(databases, 3)
    assert sum(one.tenant_id is not None for one in canaries) == 2
    assert sorted(one.placement_id for one in canaries + others) == [str(n) for n in range(10)]
