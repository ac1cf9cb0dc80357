"""SQL about how well everything is protected. Runs on the control database; the caller owns the transaction."""

from datetime import datetime

from sqlalchemy import Connection, select, text, update

from ...config.errors import NotFoundError
from ...config.settings import Settings
from ..control.tables import plan
from .policy import Policy, Wishes, policy_of
from .records import CONTROL, Damaged, DamagedCopy, Lacking, Standing

_WISHES = select(
    plan.c.id,
    plan.c.backup_interval_hours,
    plan.c.backup_retention_days,
    plan.c.backup_keep_weekly,
    plan.c.backup_keep_monthly,
    plan.c.backup_keep_yearly,
    plan.c.backup_window,
).order_by(plan.c.id)
# A backup of the future was made by a clock that was wrong: it proves nothing about now.
_VERIFIED = """
    SELECT one.started_at FROM backup one LEFT JOIN backup base ON base.id = one.unchanged_since
    WHERE {of} AND one.started_at <= CAST(:now AS timestamptz) + interval '5 minutes'
      AND (one.state = 'verified' OR one.state = 'unchanged' AND base.state = 'verified')
    ORDER BY one.started_at DESC LIMIT 1
"""
_TENANTS = text(f"""
    SELECT tenant.id, tenant.slug, tenant.plan_id, tenant.created_at,
           ({_VERIFIED.format(of="one.tenant_id = tenant.id")})
    FROM tenant WHERE tenant.placement_id IS NOT NULL
      AND tenant.state IN ('active', 'suspended', 'migrating', 'restoring')
    ORDER BY tenant.slug
""")  # noqa: S608  # literals of this module
_CONTROL = text(f"""
    SELECT (SELECT min(created_at) FROM server),
           ({_VERIFIED.format(of="one.tenant_id IS NULL AND one.kind = 'control'")})
""")  # noqa: S608  # as above
_DAMAGED = text("""
    SELECT backup.id, backup.tenant_id, coalesce(tenant.slug, backup.tenant_id, 'control'), backup.failure
    FROM backup LEFT JOIN tenant ON tenant.id = backup.tenant_id
    WHERE backup.state = 'failed' AND backup.bytes IS NOT NULL ORDER BY backup.id
""")
_LACKING = text("""
    SELECT newest.id, tenant.id, tenant.slug, newest.receipts_lost
    FROM tenant JOIN LATERAL (
        SELECT id, receipts_lost FROM backup WHERE tenant_id = tenant.id AND state = 'verified'
        ORDER BY started_at DESC LIMIT 1) newest ON true
    WHERE tenant.state <> 'erased' AND newest.receipts_lost > 0 ORDER BY tenant.slug
""")
# A copy that was never made is late, which is told elsewhere; one that was there once is damaged.
_COPIES = text("""
    SELECT copy.backup_id, copy.store, coalesce(tenant.slug, backup.tenant_id, 'control'), copy.failure
    FROM backup_copy copy JOIN backup ON backup.id = copy.backup_id
    LEFT JOIN tenant ON tenant.id = backup.tenant_id
    WHERE copy.state = 'failed' AND copy.stored_at IS NOT NULL AND backup.state <> 'failed'
    ORDER BY copy.backup_id, copy.store
""")


def wishes(conn: Connection) -> dict[str, Wishes]:
    """Return what each plan sets for itself."""
    return {row[0]: Wishes(*row[1:]) for row in conn.execute(_WISHES)}


def policies(conn: Connection, settings: Settings) -> dict[str, Policy]:
    """Return the policy of each plan."""
    return {name: policy_of(settings, wish) for name, wish in wishes(conn).items()}


def set_wishes(conn: Connection, plan_id: str, wish: Wishes) -> None:
    """Set what a plan says. Raises `NotFoundError`."""
    values = {
        "backup_interval_hours": wish.interval,
        "backup_retention_days": wish.days,
        "backup_keep_weekly": wish.weekly,
        "backup_keep_monthly": wish.monthly,
        "backup_keep_yearly": wish.yearly,
        "backup_window": wish.window,
    }
    if conn.execute(update(plan).where(plan.c.id == plan_id).values(values)).rowcount != 1:
        raise NotFoundError(f"There is no plan “{plan_id[:40]}”; `strongroom backup policy` shows them.")


def standings(conn: Connection, settings: Settings, now: datetime) -> list[Standing]:
    """Return how everything that must be backed up stands, the control database last."""
    known = policies(conn, settings)
    found = [
        Standing(tenant_id, slug, known[plan_id], since, verified)
        for tenant_id, slug, plan_id, since, verified in conn.execute(_TENANTS, {"now": now})
    ]
    installed, verified = conn.execute(_CONTROL, {"now": now}).one()
    return [*found, Standing(None, CONTROL, policy_of(settings), installed or now, verified)]


def damaged(conn: Connection) -> list[Damaged]:
    """Return the backups that failed a verification and are still listed."""
    return [Damaged(*row) for row in conn.execute(_DAMAGED)]


def lacking(conn: Connection) -> list[Lacking]:
    """Return the workspaces whose newest verified backup lacks receipts."""
    return [Lacking(*row) for row in conn.execute(_LACKING)]


def damaged_copies(conn: Connection) -> list[DamagedCopy]:
    """Return the copies that were found damaged in one store, of backups that are good elsewhere."""
    return [DamagedCopy(*row) for row in conn.execute(_COPIES)]
