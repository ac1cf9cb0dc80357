"""Tenants, placements and servers as the control plane records them."""

from collections.abc import Generator

import pytest
from sqlalchemy import Connection

from strongroom.config.errors import CallError, NotFoundError, RefusedError, UnavailableError
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.platform.tenants.states import TenantState


@pytest.fixture
def conn(platform: Platform) -> Generator[Connection]:
    """A transaction that is rolled back, in which the region “eu” has no server: other tests may have put one there."""
    with platform.control.connect() as connection, connection.begin() as transaction:
        for server in servers.list_all(connection):
            if server.region == "eu":
                servers.set_accepts_tenants(connection, server.name, accepts=False)
        yield connection
        transaction.rollback()


def pending(conn: Connection, slug: str = "north-star") -> Tenant:
    return tenants.insert_pending(conn, slug=slug, name="North Star", plan_id="pro", region_id="uk")


def ready(conn: Connection, tenant: Tenant) -> str:
    made = placements.new(conn, "embedded", tenant.id)
    placements.set_schema_revision(conn, made.id, "0001")
    placements.set_state(conn, made.id, PlacementState.READY)
    return made.id


def test_a_new_tenant_is_pending_without_a_database(conn: Connection) -> None:
    tenant = pending(conn)
    assert tenants.by_slug(conn, "north-star") == tenants.by_id(conn, tenant.id) == tenant
    assert (tenant.state, tenant.generation, tenant.placement_id) == (TenantState.PENDING, 1, None)
    with pytest.raises(UnavailableError, match="no database yet"):
        _ = tenant.database


def test_a_taken_slug_is_refused(conn: Connection) -> None:
    pending(conn)
    with pytest.raises(RefusedError, match="taken"):
        pending(conn)


@pytest.mark.parametrize(("plan", "region", "field"), [("gold", "uk", "plan"), ("pro", "mars", "region")])
def test_unknown_plan_and_region_are_refused_with_the_known_ones(
    conn: Connection, plan: str, region: str, field: str
) -> None:
    with pytest.raises(CallError, match="there are: ") as refused:
        tenants.insert_pending(conn, slug="north-star", name="N", plan_id=plan, region_id=region)
    assert refused.value.field == field


def test_nobody_is_found_under_an_unknown_name(conn: Connection) -> None:
    for search in (tenants.by_slug, tenants.by_id, placements.by_id, servers.by_name):
        with pytest.raises(NotFoundError, match="nowhere"):
            search(conn, "nowhere")


def test_every_change_raises_the_generation(conn: Connection) -> None:
    tenant = pending(conn)
    placed = tenants.set_placement(conn, tenant.id, ready(conn, tenant))
    active = tenants.set_state(conn, tenant.id, TenantState.ACTIVE)
    assert (tenant.generation, placed.generation, active.generation) == (1, 2, 3)
    assert active.database == active.role == f"t_{placed.placement_id}"
    assert (active.server, active.schema_revision) == ("embedded", "0001")


def test_a_transition_that_does_not_exist_is_refused(conn: Connection) -> None:
    tenant = pending(conn)
    with pytest.raises(RefusedError, match="cannot become suspended"):
        tenants.set_state(conn, tenant.id, TenantState.SUSPENDED)


def test_a_switch_retires_the_old_database(conn: Connection) -> None:
    tenant = pending(conn)
    first, second = ready(conn, tenant), ready(conn, tenant)
    tenants.set_placement(conn, tenant.id, first)
    switched = tenants.set_placement(conn, tenant.id, second)
    assert switched.placement_id == second
    assert tenants.set_placement(conn, tenant.id, second).generation == switched.generation
    old = placements.by_id(conn, first)
    assert old.state is PlacementState.RETIRED
    assert old.retired_at is not None
    assert placements.by_id(conn, second).state is PlacementState.CURRENT


def test_another_tenants_database_or_an_unfinished_one_is_refused(conn: Connection) -> None:
    one, other = pending(conn), pending(conn, "south-star")
    unfinished = placements.new(conn, "embedded", one.id)
    for placement_id in (ready(conn, other), unfinished.id):
        with pytest.raises(RefusedError, match="cannot become that of"):
            tenants.set_placement(conn, one.id, placement_id)


def test_a_slug_is_kept_until_the_database_is_gone(conn: Connection) -> None:
    tenant = pending(conn)
    placement_id = ready(conn, tenant)
    with pytest.raises(RefusedError, match="is kept"):
        tenants.release_slug(conn, tenant.id)
    tenants.set_state(conn, tenant.id, TenantState.ERASED)
    with pytest.raises(RefusedError, match=f"t_{placement_id}"):
        tenants.release_slug(conn, tenant.id)
    placements.set_state(conn, placement_id, PlacementState.DROPPED)
    tenants.release_slug(conn, tenant.id)
    assert pending(conn).slug == "north-star"
    assert tenants.by_id(conn, tenant.id).name == ""


def test_a_tenant_is_placed_on_the_emptiest_server_of_its_region(conn: Connection) -> None:
    servers.put(conn, name="east", region_id="eu", kind="external", host="db-east", port=5432)
    servers.put(conn, name="west", region_id="eu", kind="external", host="db-west", port=5432)
    placements.new(conn, "east")
    assert servers.choose(conn, "eu").name == "west"
    assert servers.databases(conn)["east"] == 1


def test_a_region_without_a_server_is_no_reason_to_go_elsewhere(conn: Connection) -> None:
    with pytest.raises(UnavailableError, match="eu"):
        servers.choose(conn, "eu")


def test_a_server_that_moved_is_found_at_its_new_place(conn: Connection) -> None:
    servers.put(conn, name="embedded", region_id="uk", kind="embedded", host="/elsewhere", port=5433)
    moved = servers.by_name(conn, "embedded")
    assert moved.conninfo_params("t_x") == {"host": "/elsewhere", "port": "5433", "dbname": "t_x"}
