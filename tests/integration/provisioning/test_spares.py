"""The pool of spares: claimed by one tenant each, as good as a database made to order, and with nobody's data."""

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import Engine, NullPool, create_engine, text

from strongroom.backup.runs import due_now
from strongroom.platform.control.engine import control_params
from strongroom.platform.control.platform import Platform
from strongroom.platform.jobs import queries as jobs
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Placement, PlacementState, Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning import spares
from strongroom.provisioning.building import provisioner_sessions
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.gates import verify_gates
from strongroom.provisioning.isolation.standing import standing
from strongroom.provisioning.placements import drop_placement, finish_database, prepare_database
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.refilling import REFILL
from strongroom.provisioning.remove import abandon
from strongroom.provisioning.sessions import migrator
from strongroom.provisioning.spares import add_spare, refill
from strongroom.provisioning.tasks import drop_placements, keep_spares, refill_spares
from strongroom.tenant_schema.migrate import newest_revision
from strongroom.tenant_schema.queries import invitations

# What a database consists of, the names of its own roles taken out.
_STRUCTURE = """
    SELECT format('%%s %%s %%s %%s', c.relname, c.relkind, c.relowner::regrole, c.relacl) FROM pg_class c
    WHERE c.relnamespace = 'app'::regnamespace
    UNION ALL SELECT format('%%s.%%s %%s %%s', attrelid::regclass, attname, atttypid::regtype, attnotnull)
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE c.relnamespace = 'app'::regnamespace AND attnum > 0
    UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'app'::regnamespace
    UNION ALL SELECT format('%%s %%s %%s %%s', datallowconn, datistemplate, datdba::regrole, datacl)
    FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT format('%%s %%s %%s', rolcanlogin, rolinherit, rolconnlimit) FROM pg_roles WHERE rolname = %s
    ORDER BY 1
"""


@pytest.fixture
def pool(platform: Platform) -> Generator[Platform]:
    """The shared platform with a pool of two spares on each server, emptied afterwards."""
    wanted = with_spares(platform, 2)
    fill(wanted)
    yield wanted
    refill(platform)
    assert in_pool(platform) == []


def with_spares(platform: Platform, count: int) -> Platform:
    return replace(platform, settings=replace(platform.settings, spare_databases=count))


def fill(platform: Platform) -> None:
    while refill(platform):
        pass


def in_pool(platform: Platform) -> list[Placement]:
    with platform.control.connect() as conn:
        return placements.spares(conn, "embedded")


def embedded(platform: Platform) -> Server:
    with platform.control.connect() as conn:
        return servers.by_name(conn, "embedded")


def ask(platform: Platform) -> Tenant:
    with platform.control.begin() as conn:
        return request_tenant(
            conn, platform.settings, platform.keys, slug=f"s-{new_id()}", name="Acme", owner_email="ann@example.com"
        )


def waiting_refills(platform: Platform) -> int:
    with platform.control.connect() as conn:
        return sum(job.task == REFILL and job.state == "todo" for job in jobs.unfinished(conn, 1000))


def structure(platform: Platform, pid: str) -> Sequence[str]:
    with migrator(platform, embedded(platform), f"t_{pid}") as session:
        rows = session.execute(_STRUCTURE, (f"t_{pid}",)).fetchall()
    return [str(row[0]).replace(pid, "x") for row in rows]


def test_a_new_workspace_takes_a_spare_and_the_pool_is_filled_up_by_a_job(pool: Platform) -> None:
    oldest = in_pool(pool)[0]
    tenant = provision(pool, ask(pool).id)
    assert (tenant.state, tenant.placement_id) == (TenantState.ACTIVE, oldest.id)
    assert (tenant.schema_revision, tenant.server) == (newest_revision(), "embedded")
    with pool.registry.connect(tenant) as conn:
        assert len(invitations.list_open(conn, tenant.created_at)) == 1
        assert conn.execute(text("SELECT count(*) FROM app.category")).scalar_one() > 5
    assert len(in_pool(pool)) == 1
    assert waiting_refills(pool) == 1
    refill_spares(pool)
    fill(pool)  # other jobs may have waited
    assert [spare.state for spare in in_pool(pool)] == [PlacementState.READY] * 2


def test_a_spare_is_as_one_made_to_order_and_closed(pool: Platform, tenant: Tenant) -> None:
    made_to_order = structure(pool, tenant.placement_id or "")
    for spare in in_pool(pool):
        assert spare.schema_revision == newest_revision()
        assert structure(pool, spare.id) == made_to_order
        verify_gates(pool, embedded(pool), spare.id)
    claimed = provision(pool, ask(pool).id)
    assert structure(pool, claimed.placement_id or "") == made_to_order
    verify_gates(pool, embedded(pool), claimed.placement_id or "")


def test_the_gate_looks_at_spares_and_sees_one_that_is_open(pool: Platform, embedded_server: EmbeddedServer) -> None:
    spare = in_pool(pool)[0]
    assert spare.database in {names.database for names in standing(pool, embedded(pool)).enterable}
    with embedded_server.connect_admin() as admin:
        admin.execute(f"GRANT CONNECT ON DATABASE {spare.database} TO PUBLIC")
    assert spare.database in {finding.where for finding in standing(pool, embedded(pool)).findings}


def test_spares_are_nobodys_and_are_not_counted_as_anybodys(pool: Platform) -> None:
    for spare in in_pool(pool):
        with psycopg.connect(
            **embedded(pool).conninfo_params(spare.database),
            **pool.keys.placement(spare.id).conninfo_params(),
        ) as session:
            for table in ("member", "invitation", "expense", "outbox", "setting", "audit_event"):
                assert session.execute(f"SELECT count(*) FROM app.{table}").fetchone() == (0,), table
    with pool.control.connect() as conn:
        tenants_there, spares_there = servers.databases(conn)["embedded"], servers.spares(conn)["embedded"]
        owned = "SELECT count(*) FROM placement WHERE state <> 'dropped' AND NOT spare AND server_name = 'embedded'"
        assert tenants_there == conn.execute(text(owned)).scalar_one()
    assert spares_there == 2
    with pool.control.connect() as conn:
        everyone = {tenant.id for tenant in tenants.list_all(conn)} | {None}
    assert set(due_now(pool)) <= everyone


def test_what_a_restore_has_filled_is_never_a_spare(pool: Platform) -> None:
    filled = prepare_database(pool, "embedded", None)
    finish_database(pool, filled.id, newest_revision())
    asked = [ask(pool) for _ in range(3)]
    assert filled.id not in {provision(pool, one.id).placement_id for one in asked}
    drop_placement(pool, filled.id)


def test_an_empty_pool_falls_back_to_creation_and_a_pool_of_none_is_left_empty(platform: Platform) -> None:
    assert refill(platform) is False
    assert in_pool(platform) == []
    assert provision(platform, ask(platform).id).state is TenantState.ACTIVE


def test_a_pool_that_may_hold_fewer_gives_the_others_up(pool: Platform, embedded_server: EmbeddedServer) -> None:
    before = in_pool(pool)
    refill(with_spares(pool, 1))
    assert in_pool(pool) == before[1:]
    with embedded_server.connect_admin() as admin:
        left = admin.execute("SELECT 1 FROM pg_roles WHERE rolname LIKE %s", (f"%{before[0].id}%",)).fetchall()
    assert left == []


def test_an_outdated_spare_is_not_given_away_but_brought_up_to_date(
    pool: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "knows_revision", lambda _: True)  # as if there had been one before the first
    old = in_pool(pool)[0]
    with pool.control.begin() as conn:
        placements.set_schema_revision(conn, old.id, "0000")
        tenant = tenants.insert_pending(conn, slug=f"s-{new_id()}", name="A", plan_id="pro", region_id="uk")
        placements.claim_spare(conn, tenant.id, "uk", newest_revision())
        assert placements.claim_spare(conn, tenant.id, "uk", newest_revision()) is None
        conn.rollback()
    fill(pool)
    assert {spare.id: spare.schema_revision for spare in in_pool(pool)}[old.id] == newest_revision()
    verify_gates(pool, embedded(pool), old.id)


def test_one_that_newer_code_made_is_left_alone(pool: Platform) -> None:
    newer = in_pool(pool)[0]
    with pool.control.begin() as conn:
        placements.set_schema_revision(conn, newer.id, "9999")
    refill(pool)
    assert {spare.id: spare.schema_revision for spare in in_pool(pool)}[newer.id] == "9999"
    assert len(in_pool(pool)) == 2


def test_a_spare_that_the_server_has_lost_is_replaced_and_a_claimed_one_made_anew(
    pool: Platform, embedded_server: EmbeddedServer
) -> None:
    first, second = in_pool(pool)
    asked = ask(pool)
    with embedded_server.connect_admin() as admin:
        admin.execute(f"DROP DATABASE {first.database}")
        admin.execute(f"DROP DATABASE {second.database}")
    with pytest.raises(Exception, match=r"\w"):  # whatever the server says of it
        provision(pool, asked.id)
    made = provision(pool, asked.id)
    assert (made.state, made.placement_id) == (TenantState.ACTIVE, first.id)
    verify_gates(pool, embedded(pool), first.id)
    fill(pool)
    assert second.id not in {spare.id for spare in in_pool(pool)}
    assert len(in_pool(pool)) == 2


def test_giving_up_a_workspace_that_had_claimed_a_spare_drops_it(pool: Platform) -> None:
    asked = ask(pool)
    with pool.control.begin() as conn:
        claimed = placements.claim_spare(conn, asked.id, asked.region, newest_revision())
    assert claimed is not None
    drop_placements(pool)  # must not take it from a pending tenant
    abandon(pool, asked.id)
    with pool.control.connect() as conn:
        assert placements.by_id(conn, claimed.id).state is PlacementState.DROPPED


def test_workers_that_refill_at_once_make_no_more_than_are_wanted(platform: Platform) -> None:
    wanted, server = with_spares(platform, 2), embedded(platform)
    start = threading.Barrier(5)

    def add(_: int) -> bool:
        with provisioner_sessions(wanted) as sessions:
            sessions.on(server)
            start.wait()
            return add_spare(wanted, server, sessions)

    with ThreadPoolExecutor(5) as crew:
        made = list(crew.map(add, range(5)))
    assert (sum(made), len(in_pool(platform))) == (2, 2)
    refill(platform)


def test_a_refill_lets_other_jobs_go_first_after_each_spare(platform: Platform) -> None:
    asked = ask(platform)  # its job waits
    assert refill(with_spares(platform, 3)) is True
    assert len(in_pool(platform)) == 1
    refill(platform)
    abandon(platform, asked.id)


def test_the_pool_is_looked_at_every_few_minutes(platform: Platform) -> None:
    keep_spares(platform)
    keep_spares(platform)
    assert waiting_refills(platform) == 1


def test_a_server_that_is_down_gets_no_half_made_spares(platform: Platform, embedded_server: EmbeddedServer) -> None:
    with embedded_server.connect_admin() as admin:
        admin.execute("ALTER ROLE strongroom_provisioner NOLOGIN")
        try:
            assert refill(with_spares(platform, 2)) is False
        finally:
            admin.execute("ALTER ROLE strongroom_provisioner LOGIN")
    assert in_pool(platform) == []


@pytest.fixture
def crowd(platform: Platform) -> Generator[list[Tenant]]:
    """Fifty pending tenants of another region, whose one server exists on paper and has twenty spares."""
    with platform.control.begin() as conn:
        servers.put(conn, name="paper", region_id="eu", kind="external", host="paper.example", port=5432)
        for _ in range(20):
            spare = placements.new_spare(conn, "paper", new_id())
            placements.move_spare(conn, spare.id, PlacementState.BUILDING, PlacementState.READY, newest_revision())
        asked = [
            tenants.insert_pending(conn, slug=f"s-{new_id()}", name="A", plan_id="pro", region_id="eu")
            for _ in range(50)
        ]
    yield asked
    with platform.control.begin() as conn:
        conn.execute(text("DELETE FROM placement WHERE server_name = 'paper'"))
        conn.execute(text("DELETE FROM tenant WHERE id = ANY(:ids)"), {"ids": [tenant.id for tenant in asked]})
        conn.execute(text("DELETE FROM server WHERE name = 'paper'"))


def test_fifty_who_claim_at_once_share_twenty_spares_without_quarrel(platform: Platform, crowd: list[Tenant]) -> None:
    engine = one_connection_each(platform)
    start = threading.Barrier(len(crowd))

    def claim(tenant: Tenant) -> Placement | None:
        with engine.begin() as conn:
            conn.execute(text("SELECT 1"))
            start.wait()
            return placements.claim_spare(conn, tenant.id, "eu", newest_revision())

    with ThreadPoolExecutor(len(crowd)) as everyone:
        claimed = [one for one in everyone.map(claim, crowd) if one]
    assert len(claimed) == len({one.id for one in claimed}) == len({one.tenant_id for one in claimed}) == 20
    with platform.control.connect() as conn:
        assert placements.spares(conn, "paper") == []


def one_connection_each(platform: Platform) -> Engine:
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(**control_params(platform.settings, platform.keys)),
        poolclass=NullPool,
    )


def test_the_server_with_the_most_room_for_its_size_is_claimed_from_and_built_on_first(platform: Platform) -> None:
    with platform.control.begin() as conn:
        for name, limit in (("wide", 1000), ("narrow", 10), ("closed", 5000)):
            servers.put(conn, name=name, region_id="eu", kind="external", host=f"{name}.example", port=5432)
            servers.set_connection_limit(conn, name, limit)
            spare = placements.new_spare(conn, name, new_id())
            placements.move_spare(conn, spare.id, PlacementState.BUILDING, PlacementState.READY, newest_revision())
            tenant = tenants.insert_pending(conn, slug=f"s-{new_id()}", name="A", plan_id="pro", region_id="eu")
            placements.new(conn, name, tenant.id)
        conn.execute(text("UPDATE server SET accepts_tenants = false WHERE name = 'closed'"))
        claim = [
            placements.claim_spare(conn, tenant.id, "eu", newest_revision(), avoid)
            for avoid in ((), ("wide",), ("wide", "narrow"))
        ]
        assert [one.server if one else None for one in claim] == ["wide", "narrow", None]
        assert servers.choose(conn, "eu").name == "wide"
        assert servers.choose(conn, "eu", ["wide"]).name == "narrow"
        conn.rollback()


def test_a_server_that_does_not_answer_is_passed_over_for_the_next_in_the_region(platform: Platform) -> None:
    with platform.control.begin() as conn:
        away = servers.put(conn, name="away", region_id="uk", kind="embedded", host="/nowhere", port=5432)
        servers.set_connection_limit(conn, "away", 5000)
    asked = ask(platform)
    try:
        made = provision(platform, asked.id)
        assert (made.state, made.server, made.failure) == (TenantState.ACTIVE, "embedded", None)
        with platform.control.connect() as conn:
            tried = [one for one in placements.of_tenant(conn, asked.id) if one.server == away.name]
        assert [one.state for one in tried] == [PlacementState.DROPPING]
    finally:
        with platform.control.begin() as conn:
            conn.execute(text("DELETE FROM placement WHERE server_name = 'away'"))
            conn.execute(text("DELETE FROM server WHERE name = 'away'"))


def test_the_builders_session_that_ended_is_replaced(platform: Platform) -> None:
    with provisioner_sessions(platform) as sessions:
        server = embedded(platform)
        first = sessions.on(server)
        assert sessions.on(server) is first
        first.close()
        assert sessions.on(server).execute("SELECT 1").fetchone() == (1,)
