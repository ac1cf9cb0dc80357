"""SQL of the operators' audit log; rows are only ever added. The caller owns the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, insert, select

from ..control.tables import operator_audit, tenant


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that an operator did; `tenant_id` is None when it concerned no single workspace."""

    id: int
    at: datetime
    operator: str
    action: str
    tenant_id: str | None
    detail: dict[str, Any]


def record(
    conn: Connection, operator: str, action: str, tenant_id: str | None = None, detail: dict[str, Any] | None = None
) -> None:
    """Write down what was done, in the transaction that does it. `detail` holds no secret and no personal data."""
    conn.execute(
        insert(operator_audit).values(operator=operator, action=action, tenant_id=tenant_id, detail=detail or {})
    )


def newest(conn: Connection, limit: int = 100, tenant_id: str | None = None) -> list[AuditEntry]:
    """Return the newest entries first, of one tenant or of all."""
    statement = _ENTRY.order_by(operator_audit.c.id.desc())
    if tenant_id is not None:
        statement = statement.where(operator_audit.c.tenant_id == tenant_id)
    return [AuditEntry(*row) for row in conn.execute(statement.limit(limit))]


def of_tenant(conn: Connection, tenant_id: str, actions: Sequence[str]) -> list[AuditEntry]:
    """Return all entries about a tenant with one of these actions, oldest first."""
    wanted = _ENTRY.where(operator_audit.c.tenant_id == tenant_id, operator_audit.c.action.in_(actions))
    return [AuditEntry(*row) for row in conn.execute(wanted.order_by(operator_audit.c.id))]


def without_tenant(conn: Connection, action: str, before: datetime) -> list[AuditEntry]:
    """Return the entries of one action, older than `before`, about workspaces that have no row in any state."""
    columns = operator_audit.c
    unknown = columns.tenant_id.is_not(None) & ~exists().where(tenant.c.id == columns.tenant_id)
    statement = _ENTRY.where(columns.action == action, columns.at < before, unknown).order_by(columns.id)
    return [AuditEntry(*row) for row in conn.execute(statement)]


_ENTRY = select(
    operator_audit.c.id,
    operator_audit.c.at,
    operator_audit.c.operator,
    operator_audit.c.action,
    operator_audit.c.tenant_id,
    operator_audit.c.detail,
)
