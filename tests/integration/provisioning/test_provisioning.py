import hashlib
import threading
from collections.abc import Generator
from typing import Any

import psycopg
import pytest
from sqlalchemy import delete, insert, text

from strongroom.config.errors import CallError, FailedError, NotFoundError, RefusedError, UnavailableError
from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import region
from strongroom.platform.jobs import queries as jobs
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning import create
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.placements import drop_placement, finish_database, prepare_database
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.remove import abandon
from strongroom.provisioning.sessions import migrator
from strongroom.provisioning.tasks import resume_provisioning
from strongroom.tenant_schema.migrate import newest_revision
from strongroom.tenant_schema.queries import invitations


def ask(platform: Platform, slug: str | None = None, **changes: Any) -> Tenant:
    wanted = {"slug": slug or f"p-{new_id()}", "name": "Acme", "owner_email": "ann@example.com"} | changes
    with platform.control.begin() as conn:
        return request_tenant(conn, platform.settings, platform.keys, **wanted)


def test_an_account_is_ready_with_its_owners_invitation(platform: Platform) -> None:
    asked = ask(platform, name="  Acme   Ltd ", plan="team")
    assert (asked.state, asked.name, asked.placement_id) == (TenantState.PENDING, "Acme Ltd", None)
    tenant = provision(platform, asked.id)
    assert (tenant.state, tenant.schema_revision, tenant.server) == (TenantState.ACTIVE, newest_revision(), "embedded")
    assert asked.slug not in tenant.database
    token = create.invitation_link(platform.settings, platform.keys, tenant).rpartition("/")[2]
    with platform.registry.connect(tenant) as conn:
        invited = invitations.by_token(conn, hashlib.sha256(token.encode()).digest(), tenant.created_at)
        assert invited is not None
        assert invited.role == "owner"
        assert conn.execute(text("SELECT count(*) FROM app.category")).scalar_one() > 5
        assert conn.execute(text("SELECT count(*) FROM app.outbox")).scalar_one() == 1
    with platform.control.connect() as conn:
        assert tenants.owner_email(conn, tenant.id) is None


def test_provisioning_an_active_tenant_changes_nothing(platform: Platform, tenant: Tenant) -> None:
    assert provision(platform, tenant.id) == tenant


def test_two_workers_make_one_database(platform: Platform) -> None:
    asked = ask(platform)
    made: list[Tenant] = []
    threads = [threading.Thread(target=lambda: made.append(provision(platform, asked.id))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {t.placement_id for t in made} == {made[0].placement_id}
    with platform.control.connect() as conn:
        assert [p.state for p in placements.of_tenant(conn, asked.id)] == [PlacementState.CURRENT]


def test_tenants_made_at_once_do_not_disturb_each_other(platform: Platform) -> None:
    asked = [ask(platform) for _ in range(4)]
    made: list[Tenant] = []
    threads = [threading.Thread(target=lambda t=t: made.append(provision(platform, t.id))) for t in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {t.state for t in made} == {TenantState.ACTIVE}
    assert len({t.database for t in made}) == 4


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "No-Capitals"}, "slug"),
        ({"slug": "ab"}, "slug"),
        ({"slug": "1abc"}, "slug"),
        ({"slug": "two--hyphens"}, "slug"),
        ({"slug": "x" * 41}, "slug"),
        ({"slug": "a'; DROP DATABASE postgres; --"}, "slug"),
        ({"slug": "admin"}, "slug"),
        ({"slug": "www"}, "slug"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "bell\x07"}, "name"),
        ({"owner_email": "nobody"}, "email"),
        ({"owner_email": "a@b"}, "email"),
        ({"plan": "gold"}, "plan"),
        ({"region": "atlantis"}, "region"),
    ],
)
def test_a_wrong_request_is_refused_by_the_name_of_its_field_and_leaves_nothing(
    platform: Platform, changes: dict[str, str], field: str
) -> None:
    before = everything(platform)
    with pytest.raises(CallError) as caught:
        ask(platform, **changes)
    assert caught.value.field == field
    assert str(caught.value).endswith(".")
    assert everything(platform) == before


def test_a_taken_slug_is_refused_also_when_two_ask_at_once(platform: Platform) -> None:
    slug = f"race-{new_id()}"
    outcomes: list[object] = []
    barrier = threading.Barrier(4)

    def one() -> None:
        barrier.wait()
        try:
            outcomes.append(ask(platform, slug))
        except RefusedError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(o, Tenant) for o in outcomes) == 1
    assert all("taken" in o for o in outcomes if isinstance(o, str))
    with platform.control.begin() as conn:
        abandon_id = tenants.by_slug(conn, slug).id
    abandon(platform, abandon_id)


def test_a_request_that_is_rolled_back_queues_nothing(platform: Platform) -> None:
    slug = f"rb-{new_id()}"
    with platform.control.connect() as conn:
        before = jobs.counts(conn)
        conn.rollback()
        request_tenant(conn, platform.settings, platform.keys, slug=slug, name="A", owner_email="a@example.com")
        conn.rollback()
        assert jobs.counts(conn) == before
        with pytest.raises(NotFoundError):
            tenants.by_slug(conn, slug)


@pytest.fixture
def moon(platform: Platform) -> Generator[str]:
    """A region where no server is."""
    with platform.control.begin() as conn:
        conn.execute(insert(region).values(id="moon", name="Moon"))
    yield "moon"
    with platform.control.begin() as conn:
        conn.execute(delete(region).where(region.c.id == "moon"))


def test_a_region_without_a_server_is_refused_before_anything_is_written(platform: Platform, moon: str) -> None:
    before = everything(platform)
    with pytest.raises(UnavailableError, match="moon"):
        ask(platform, region=moon)
    assert everything(platform) == before


def test_an_unreachable_server_is_said_and_recorded_and_cured_by_the_next_try(
    platform: Platform, embedded_server: EmbeddedServer
) -> None:
    asked = ask(platform)
    with embedded_server.connect_admin() as admin:
        admin.execute("ALTER ROLE strongroom_provisioner NOLOGIN")
        try:
            with pytest.raises(UnavailableError, match="embedded"):
                provision(platform, asked.id)
        finally:
            admin.execute("ALTER ROLE strongroom_provisioner LOGIN")
    with platform.control.connect() as conn:
        assert "cannot be reached" in (tenants.by_id(conn, asked.id).failure or "")
    tenant = provision(platform, asked.id)
    assert (tenant.state, tenant.failure) == (TenantState.ACTIVE, None)


def test_a_pending_tenant_whose_job_was_lost_is_queued_again_once(platform: Platform) -> None:
    asked = ask(platform)
    with platform.control.begin() as conn:
        conn.execute(text("DELETE FROM procrastinate_jobs WHERE args->>'tenant_id' = :id"), {"id": asked.id})
    resume_provisioning(platform)
    resume_provisioning(platform)
    with platform.control.connect() as conn:
        waiting = [job for job in jobs.unfinished(conn) if job.arguments.get("tenant_id") == asked.id]
    assert len(waiting) == 1
    abandon(platform, asked.id)


def test_an_opened_workspace_cannot_be_abandoned_nor_its_database_dropped(platform: Platform, tenant: Tenant) -> None:
    with pytest.raises(RefusedError, match="active"):
        abandon(platform, tenant.id)
    with pytest.raises(RefusedError, match=tenant.slug):
        drop_placement(platform, tenant.placement_id or "")


def test_the_slug_stays_taken_while_the_database_cannot_be_dropped(
    platform: Platform, embedded_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(platform)
    monkeypatch.setattr(create, "STEPS", create.STEPS[:-1])
    provision(platform, asked.id)
    with platform.control.connect() as conn:
        database = placements.of_tenant(conn, asked.id)[0].database
    with embedded_server.connect_admin() as admin:
        admin.execute(f"ALTER DATABASE {database} IS_TEMPLATE true")  # PostgreSQL refuses to drop a template
        with pytest.raises(FailedError, match="could not be dropped"):
            abandon(platform, asked.id)
        with pytest.raises(RefusedError, match="taken"):
            ask(platform, asked.slug)
        admin.execute(f"ALTER DATABASE {database} IS_TEMPLATE false")
    abandon(platform, asked.id)
    abandon(platform, ask(platform, asked.slug).id)


def test_dropping_ends_open_sessions(platform: Platform, tenant: Tenant, embedded_server: EmbeddedServer) -> None:
    placement = prepare_database(platform, "embedded", tenant.id)
    finish_database(platform, placement.id, newest_revision())
    where = {"host": str(embedded_server.socket_dir), "port": embedded_server.port, "dbname": placement.database}
    with psycopg.connect(**where, **platform.keys.placement(placement.id).conninfo_params()) as inside:
        inside.execute("SELECT FROM app.setting")
        drop_placement(platform, placement.id)
        with pytest.raises(psycopg.OperationalError):
            inside.execute("SELECT 1")
    with platform.control.connect() as conn:
        assert placements.by_id(conn, placement.id).state is PlacementState.DROPPED
    drop_placement(platform, placement.id)


def test_an_emptied_database_waits_for_a_restore(platform: Platform, tenant: Tenant) -> None:
    placement = prepare_database(platform, "embedded", tenant.id, empty=True)
    with platform.control.connect() as conn:
        server = servers.by_name(conn, "embedded")
    with migrator(platform, server, placement.database) as session:
        assert session.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace").fetchone() == (
            0,
        )
        assert session.execute("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'app'").fetchone() == (
            placement.owner_role,
        )
    drop_placement(platform, placement.id)


def everything(platform: Platform) -> tuple[object, ...]:
    with platform.control.connect() as conn:
        counted = [
            conn.execute(text(f"SELECT count(*) FROM {t}")).scalar_one() for t in ("tenant", "procrastinate_jobs")
        ]
    return (*counted, len(platform.keys.tenant_ids()))
