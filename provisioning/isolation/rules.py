"""The standing gate over pg_hba.conf: what the first matching line lets tenants' logins into."""

from collections.abc import Sequence

import psycopg

from ..names import LOGINS
from ..sessions import Session
from .finding import Finding

# `rule_number`, the order over included files, is there since PostgreSQL 16.
_RULES = """
    SELECT line_number, type, coalesce(database, '{}'), coalesce(user_name, '{}'), address, auth_method, error
    FROM pg_hba_file_rules r ORDER BY (to_jsonb(r) ->> 'rule_number')::int NULLS FIRST, line_number
"""
_WEAK = {"trust", "password", "md5", "ident"}
_PLAIN, _TLS, _GSS, _SOCKET = "without TLS", "TLS", "GSSAPI", "socket"
_DOORS = {
    "local": {_SOCKET},
    "host": {_PLAIN, _TLS, _GSS},
    "hostssl": {_TLS},
    "hostnossl": {_PLAIN, _GSS},
    "hostgssenc": {_GSS},
    "hostnogssenc": {_PLAIN, _TLS},
}


def rule_findings(session: Session) -> list[Finding]:
    """Check that tenants' logins reach only the database of their own name, and nobody gets in without proof.

    Raises `psycopg.errors.InsufficientPrivilege` where the rules cannot be read.
    """
    findings: list[Finding] = []
    shut: set[tuple[str, str]] = set()  # what an earlier line has refused to every tenant's login, from everywhere
    for line, kind, databases, users, address, method, error in session.execute(_RULES).fetchall():
        where = f"pg_hba.conf line {line}"
        if error:
            findings.append(Finding(where, f"cannot be read: {error}"))
            continue
        doors = _doors(kind, databases) - shut
        if method in _WEAK:
            findings.append(Finding(where, f"lets {', '.join(users)} in by {method}"))
        elif method == "reject":
            shut |= doors if _everyone(users) and _everywhere(kind, address) and _all(databases) else set()
        elif doors and _concerns_tenants(users):
            findings += [Finding(where, sentence) for sentence in _too_much(doors, databases)]
    return findings


def readable(session: Session) -> bool:
    """Say whether this session may read the rules: some managed servers show them to nobody."""
    try:
        session.execute("SELECT FROM pg_hba_file_rules LIMIT 1")
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _too_much(doors: set[tuple[str, str]], databases: Sequence[str]) -> list[str]:
    if databases != ["sameuser"]:
        return [f"lets tenants' logins into {', '.join(databases)}"]
    return ["lets tenants' logins in without TLS"] if any(door == _PLAIN for door, _ in doors) else []


def _doors(kind: str, databases: Sequence[str]) -> set[tuple[str, str]]:
    """Return the ways in that a line is about, each with what it leads to: `all` is not replication."""
    targets = {"replication" if database == "replication" else "databases" for database in databases}
    return {(door, target) for door in _DOORS[kind] for target in targets}


def _all(databases: Sequence[str]) -> bool:
    return not set(databases) - {"all", "replication"}


def _everywhere(kind: str, address: str | None) -> bool:
    return kind == "local" or address == "all"  # 0.0.0.0/0 is not everywhere: there is IPv6


def _everyone(users: Sequence[str]) -> bool:
    return bool({"all", f"+{LOGINS}"} & set(users))


def _concerns_tenants(users: Sequence[str]) -> bool:
    return any(user in {"all", f"+{LOGINS}"} or user.startswith(("t_", "/")) for user in users)
