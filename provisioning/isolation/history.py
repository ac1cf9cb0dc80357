"""What earlier verifications of the isolation found, and when."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from ...platform.control.tables import verification


def results(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Return the newest `limit` results, the newest first: when, whether it passed, and the report."""
    newest = select(verification.c.at, verification.c.passed, verification.c.report)
    newest = newest.where(verification.c.kind == "isolation").order_by(verification.c.id.desc()).limit(limit)
    return [_row(row[0], row[1], row[2]) for row in conn.execute(newest)]


def _row(at: datetime, passed: bool, report: dict[str, Any]) -> dict[str, Any]:
    through = report.get("through", [])
    problems = [f"{one['where']} {one['sentence']}." for one in report.get("findings", [])]
    problems += [f"{one['attacker']}: {one['what']}." for one in through]
    counts = {key: report.get(key, 0) for key in ("tenants", "attacked", "attempts", "blocked", "watched")}
    return {"at": at, "passed": passed, **counts, "problems": problems, "report": report}
