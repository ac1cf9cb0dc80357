"""SQL about tenants. The caller owns the transaction."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Row, Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from ...config.errors import CallError, NotFoundError, RefusedError
from ..control.tables import backup, erasure, placement, plan, region, tenant
from . import placements
from .ids import new_id
from .records import PlacementState, Tenant
from .states import TenantState, check_transition

_last_backup = (
    select(func.max(backup.c.finished_at))
    .where(backup.c.tenant_id == tenant.c.id, backup.c.state.in_(("stored", "verified", "unchanged")))
    .scalar_subquery()
)
_last_verified = (
    select(func.max(backup.c.verified_at))
    # One that has failed a later verification was proved once, which helps nobody.
    .where(backup.c.tenant_id == tenant.c.id, backup.c.state == "verified")
    .scalar_subquery()
)
_TENANT = select(
    tenant.c.id,
    tenant.c.slug,
    tenant.c.name,
    tenant.c.plan_id,
    tenant.c.region_id,
    tenant.c.state,
    tenant.c.generation,
    tenant.c.placement_id,
    func.coalesce(placement.c.server_name, ""),
    tenant.c.schema_revision,
    tenant.c.failure,
    tenant.c.created_at,
    _last_backup,
    _last_verified,
    tenant.c.erased_at,
    plan.c.requires_second_factor,
).select_from(
    tenant.join(plan, tenant.c.plan_id == plan.c.id).outerjoin(placement, tenant.c.placement_id == placement.c.id)
)


def by_slug(conn: Connection, slug: str) -> Tenant:
    """Return the tenant that holds `slug`. Raises `NotFoundError`."""
    return _one(conn, _TENANT.where(tenant.c.slug == slug, tenant.c.state != TenantState.ERASED), slug)


def holder(conn: Connection, word: str) -> Tenant:
    """Return the tenant that has `word` as its slug, also while it is being erased, or as its id.

    Raises `NotFoundError`.
    """
    holds = tenant.c.slug == word, tenant.c.slug != tenant.c.id
    row = conn.execute(_TENANT.where(*holds)).one_or_none()
    return _tenant(row) if row else by_id(conn, word)


def all_ids(conn: Connection) -> set[str]:
    """Return the ids of all tenants that have a row, erased ones too."""
    return set(conn.scalars(select(tenant.c.id)))


def is_taken(conn: Connection, slug: str) -> bool:
    """Say whether a tenant holds `slug`, also one that is being erased."""
    taken = select(tenant.c.id).where(tenant.c.slug == slug, tenant.c.slug != tenant.c.id)
    return conn.execute(taken).one_or_none() is not None


def being_erased(conn: Connection) -> list[tuple[str, datetime]]:
    """Return the slugs of the tenants whose erasure has not ended, and when each was begun."""
    joined = select(tenant.c.slug, erasure.c.requested_at).join(tenant, tenant.c.id == erasure.c.tenant_id)
    rows = conn.execute(joined.where(erasure.c.finished_at.is_(None)).order_by(erasure.c.requested_at))
    return [(row.slug, row.requested_at) for row in rows]


def by_id(conn: Connection, tenant_id: str) -> Tenant:
    """Return a tenant by its id, whatever its state. Raises `NotFoundError`."""
    return _one(conn, _TENANT.where(tenant.c.id == tenant_id), tenant_id)


def exists(conn: Connection, tenant_id: str) -> bool:
    """Say whether there is a tenant of that id, in whatever state."""
    return conn.execute(select(tenant.c.id).where(tenant.c.id == tenant_id)).one_or_none() is not None


def list_all(conn: Connection, states: Iterable[TenantState] | None = None) -> list[Tenant]:
    """Return the tenants in the given states (default: all but erased ones), by slug."""
    wanted = [s for s in TenantState if s is not TenantState.ERASED] if states is None else list(states)
    rows = conn.execute(_TENANT.where(tenant.c.state.in_(wanted)).order_by(tenant.c.slug, tenant.c.id))
    return [_tenant(row) for row in rows]


def oldest_slugs(conn: Connection, limit: int) -> list[str]:
    """Return the slugs of the oldest `limit` tenants that are not erased."""
    statement = select(tenant.c.slug).where(tenant.c.state != TenantState.ERASED)
    return list(conn.execute(statement.order_by(tenant.c.created_at, tenant.c.id).limit(limit)).scalars())


def plans_and_regions(conn: Connection) -> tuple[list[str], list[str]]:
    """Return the ids of all plans and of all regions."""
    plans, regions = (conn.execute(select(table.c.id).order_by(table.c.id)).scalars().all() for table in (plan, region))
    return list(plans), list(regions)


def insert_pending(
    conn: Connection,
    *,
    slug: str,
    name: str,
    plan_id: str,
    region_id: str,
    tenant_id: str | None = None,
    owner_email: bytes | None = None,
) -> Tenant:
    """Write a new tenant in state pending; `owner_email` is sealed under the tenant's own key.

    Raises `RefusedError` if the slug is taken, `CallError` for an unknown plan or region.
    """
    _check_known(conn, plan_id, region_id)
    tenant_id = tenant_id or new_id()
    made = conn.execute(
        insert(tenant)
        .values(
            id=tenant_id,
            slug=slug,
            name=name,
            plan_id=plan_id,
            region_id=region_id,
            state=TenantState.PENDING,
            owner_email=owner_email,
        )
        # The index's own words: a parameter would match it only until PostgreSQL plans the statement generically.
        .on_conflict_do_nothing(index_elements=["slug"], index_where=text("slug <> id"))
        .returning(tenant.c.id)
    ).one_or_none()
    if made is None:
        raise RefusedError(f"The workspace address “{slug}” is taken.")
    return by_id(conn, tenant_id)


def set_state(conn: Connection, tenant_id: str, to: TenantState) -> Tenant:
    """Move a tenant to another state. Raises `RefusedError` if that transition does not exist."""
    now = _locked(conn, tenant_id)
    check_transition(now.slug, TenantState(now.state), to)
    erased = {"erased_at": func.now()} if to is TenantState.ERASED else {}
    _change(conn, tenant_id, state=to, **erased)
    return by_id(conn, tenant_id)


def set_placement(conn: Connection, tenant_id: str, placement_id: str) -> Tenant:
    """Switch a tenant to another database, which must be ready; the one it had is retired. Idempotent.

    Raises `RefusedError` if the new database is another tenant's or not ready.
    """
    now = _locked(conn, tenant_id)
    if now.placement_id != placement_id:
        new = placements.locked(conn, placement_id)
        if new.state is not PlacementState.READY or new.tenant_id not in {None, tenant_id}:
            raise RefusedError(f"The database {new.database} is {new.state} and cannot become that of “{now.slug}”.")
        if now.placement_id is not None:
            placements.set_state(conn, now.placement_id, PlacementState.RETIRED)
        placements.assign(conn, placement_id, tenant_id)
        placements.set_state(conn, placement_id, PlacementState.CURRENT)
        _change(conn, tenant_id, placement_id=placement_id, schema_revision=new.schema_revision)
    return by_id(conn, tenant_id)


def open_in(conn: Connection, tenant_id: str, placement_id: str, revision: str) -> None:
    """Make a new tenant active in its own database, which has been finished at schema `revision`.

    Raises `RefusedError` if the tenant is not new or the database is not its own.
    """
    now = _locked(conn, tenant_id)
    check_transition(now.slug, TenantState(now.state), TenantState.ACTIVE)
    finished = update(placement).where(
        placement.c.id == placement_id,
        placement.c.tenant_id == tenant_id,
        placement.c.state.in_((PlacementState.BUILDING, PlacementState.READY)),
    )
    values = {"state": PlacementState.CURRENT, "schema_revision": revision}
    if conn.execute(finished.values(values).returning(placement.c.id)).one_or_none() is None:
        raise RefusedError(f"The database t_{placement_id} cannot become that of “{now.slug}”.")
    opened = {"state": TenantState.ACTIVE, "placement_id": placement_id, "schema_revision": revision}
    _change(conn, tenant_id, **opened, owner_email=None, failure=None)


def set_name(conn: Connection, tenant_id: str, name: str) -> None:
    """Rename a workspace. Running processes notice by its generation."""
    _locked(conn, tenant_id)
    _change(conn, tenant_id, name=name)


def lock(conn: Connection, tenant_id: str) -> Tenant:
    """Return a tenant that nobody else changes before the transaction ends. Raises `NotFoundError`."""
    _locked(conn, tenant_id)
    return by_id(conn, tenant_id)


def set_plan(conn: Connection, tenant_id: str, plan_id: str) -> None:
    """Give a workspace another plan. Raises `CallError` for an unknown one."""
    now = lock(conn, tenant_id)
    _check_known(conn, plan_id, now.region)
    _change(conn, tenant_id, plan_id=plan_id)


def set_slug(conn: Connection, tenant_id: str, slug: str) -> Tenant:
    """Give a workspace another address; the old one is free at once. Raises `RefusedError` if `slug` is taken."""
    _locked(conn, tenant_id)
    if is_taken(conn, slug):
        raise RefusedError(f"The workspace address “{slug}” is taken.")
    try:
        _change(conn, tenant_id, slug=slug)
    except IntegrityError as error:  # taken in this very moment
        raise RefusedError(f"The workspace address “{slug}” is taken.") from error
    return by_id(conn, tenant_id)


def renew(conn: Connection, tenant_id: str) -> Tenant:
    """Let every process read the tenant's record again and renew its connections."""
    _locked(conn, tenant_id)
    _change(conn, tenant_id)
    return by_id(conn, tenant_id)


def set_schema_revision(conn: Connection, tenant_id: str, revision: str) -> None:
    """Record at which revision a tenant's database, and its placement, is."""
    now = _locked(conn, tenant_id)
    _change(conn, tenant_id, schema_revision=revision)
    if now.placement_id is not None:
        placements.set_schema_revision(conn, now.placement_id, revision)


def set_failure(conn: Connection, tenant_id: str, failure: str | None) -> None:
    """Record in one sentence why provisioning stopped, or that it did not."""
    _locked(conn, tenant_id)
    conn.execute(update(tenant).where(tenant.c.id == tenant_id).values(failure=failure))


def set_owner_email(conn: Connection, tenant_id: str, sealed: bytes | None) -> None:
    """Keep the owner's sealed e-mail address until the owner is invited; None forgets it."""
    _locked(conn, tenant_id)
    conn.execute(update(tenant).where(tenant.c.id == tenant_id).values(owner_email=sealed))


def owner_email(conn: Connection, tenant_id: str) -> bytes | None:
    """Return the owner's sealed e-mail address as long as it is kept."""
    return conn.execute(select(tenant.c.owner_email).where(tenant.c.id == tenant_id)).scalar_one_or_none()


def release_slug(conn: Connection, tenant_id: str) -> None:
    """Forget the slug and the name of an erased tenant: call it once its databases are verifiably gone.

    Raises `RefusedError` while the tenant is not erased or one of its databases is left.
    """
    now = _locked(conn, tenant_id)
    left = [p.database for p in placements.of_tenant(conn, tenant_id) if p.state is not PlacementState.DROPPED]
    if now.state != TenantState.ERASED or left:
        raise RefusedError(f"The address “{now.slug}” is kept: its workspace is {now.state}, databases left: {left}.")
    _change(conn, tenant_id, slug=tenant_id, name="", owner_email=None, failure=None, placement_id=None)


def _one(conn: Connection, statement: Select[*tuple[object, ...]], wanted: str) -> Tenant:
    row = conn.execute(statement).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no workspace “{wanted}”.")
    return _tenant(row)


def _tenant(row: Row[*tuple[object, ...]]) -> Tenant:
    values = list(row)
    values[5] = TenantState(str(values[5]))
    return Tenant(*values)  # pyright: ignore[reportArgumentType]  # the columns stand in the record's order


def _locked(conn: Connection, tenant_id: str) -> Row[str, str, str | None]:
    statement = select(tenant.c.slug, tenant.c.state, tenant.c.placement_id).where(tenant.c.id == tenant_id)
    row = conn.execute(statement.with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no workspace “{tenant_id}”.")
    return row


def _change(conn: Connection, tenant_id: str, **values: object) -> None:
    values |= {"generation": tenant.c.generation + 1, "changed_at": func.now()}
    conn.execute(update(tenant).where(tenant.c.id == tenant_id).values(values))


def _check_known(conn: Connection, plan_id: str, region_id: str) -> None:
    for what, table, wanted in (("plan", plan, plan_id), ("region", region, region_id)):
        known = conn.execute(select(table.c.id).order_by(table.c.id)).scalars().all()
        if wanted not in known:
            raise CallError(f"There is no {what} “{wanted}”; there are: {', '.join(known)}.", field=what)
