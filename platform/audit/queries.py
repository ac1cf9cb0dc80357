"""SQL of the operators' audit log; rows are only ever added. The caller owns the transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from ..control.tables import operator_audit


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
    columns = operator_audit.c
    statement = select(
        columns.id, columns.at, columns.operator, columns.action, columns.tenant_id, columns.detail
    ).order_by(columns.id.desc())
    if tenant_id is not None:
        statement = statement.where(columns.tenant_id == tenant_id)
    return [AuditEntry(*row) for row in conn.execute(statement.limit(limit))]
