"""The standing gate over pg_hba.conf, on servers where that file is ours."""

from collections.abc import Sequence

from ..names import LOGINS
from ..sessions import Session
from .finding import Finding

_RULES = """
    SELECT line_number, type, coalesce(database, '{}'), coalesce(user_name, '{}'), auth_method, error
    FROM pg_hba_file_rules ORDER BY rule_number NULLS FIRST
"""
_WEAK = {"trust", "password", "md5", "ident"}


def rule_findings(session: Session) -> list[Finding]:
    """Check that tenants' logins reach only the database of their own name, and nobody gets in without proof."""
    findings: list[Finding] = []
    for line, _kind, databases, users, method, error in session.execute(_RULES).fetchall():
        where = f"pg_hba.conf line {line}"
        if error:
            findings.append(Finding(where, f"cannot be read: {error}"))
        elif method in _WEAK:
            findings.append(Finding(where, f"lets {', '.join(users)} in by {method}"))
        elif method != "reject" and _concerns_tenants(users) and databases != ["sameuser"]:
            findings.append(Finding(where, f"lets tenants' logins into {', '.join(databases)}"))
    return findings


def _concerns_tenants(users: Sequence[str]) -> bool:
    return any(user in {"all", f"+{LOGINS}"} or user.startswith(("t_", "/")) for user in users)
