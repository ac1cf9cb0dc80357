"""Which of the walls between tenants stand on a server, and which of its settings are not what we recommend."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg

from ..platform.control.platform import Platform
from ..platform.servers.records import Server
from .isolation.finding import Finding
from .isolation.rules import rule_findings
from .names import BACKUP, LOGINS, MAINTENANCE, MIGRATOR, PROVISIONER
from .postgres.setup import PLATFORM_RESERVE
from .sessions import Session, login_parameters


class Holding(StrEnum):
    """Whether a layer stops somebody by itself."""

    HOLDS = "holds"
    OPEN = "open"  # and must be closed
    LEFT = "not relied on"  # the server's provider decides about it, or its rules are not ours to read


_ADVICE = {
    "huge_pages": "set it to try: every backend maps the buffers",
    "recovery_init_sync_method": "set it to syncfs on Linux: else a restart after a crash opens every file one by one",
    "autovacuum_naptime": "set it to 5min: each database is visited once in that time",
    "password_encryption": "set it to scram-sha-256",
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One wall: its name, whether it holds, and in one clause what was seen."""

    name: str
    holding: Holding
    detail: str


@dataclass(frozen=True, slots=True)
class Hint:
    """A setting of the server that could be better; never a failure."""

    setting: str
    value: str
    sentence: str


def layers(server: Server, session: Session, findings: Sequence[Finding]) -> list[Layer]:
    """Look at a server through a session of the provisioner; `findings` are those of the standing gate."""
    open_ones = [finding for finding in findings if not finding.where.startswith("pg_hba.conf")]
    lists = Layer("access lists", Holding.HOLDS, "databases, roles and memberships are as they must be")
    if open_ones:
        lists = Layer("access lists", Holding.OPEN, f"{len(open_ones)} grants or roles are open")
    return [lists, _rules(server, session), _tls(server, session), _proof()]


def hints(platform: Platform, server: Server, session: Session) -> list[Hint]:
    """Compare the server's settings with what many small databases need (docs/performance.md)."""
    rows = session.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(_ADVICE),)).fetchall()
    found = [Hint(name, value, _ADVICE[name]) for name, value in rows if not _is_right(name, value)]
    if _accepts_old_tls(platform, server):
        found.append(Hint("ssl_min_protocol_version", "TLSv1.2", "set it to TLSv1.3: it lets clients with less in"))
    room = connection_room(session)
    if server.connection_limit and server.connection_limit > room:
        sentence = f"tenants may open {server.connection_limit} connections, but it has room for {room} of them"
        found.append(Hint("max_connections", str(_maximum(session)), sentence))
    return found


def connection_room(session: Session) -> int:
    """Return how many connections tenants may open on a server beside the platform's and its superuser's own."""
    row = session.execute(
        "SELECT current_setting('superuser_reserved_connections')::int"
        " + coalesce(current_setting('reserved_connections', true), '0')::int"  # since PostgreSQL 16
    ).fetchone()
    assert row is not None
    return max(1, _maximum(session) - int(row[0]) - PLATFORM_RESERVE)


def closing_rules(server: Server) -> str:
    """Return the lines for the top of pg_hba.conf that let the platform's and the tenants' logins in, each its own way.

    They say nothing about other roles: those who run the server keep their own lines below.
    """
    ours = f"{PROVISIONER},{MIGRATOR},{BACKUP},+{LOGINS}"
    kind, address = ("local", "") if server.host.startswith("/") else ("hostssl", " all")
    return (
        f"{kind} {MAINTENANCE} {PROVISIONER}{address} scram-sha-256\n"
        f"{kind} all {MIGRATOR},{BACKUP}{address} scram-sha-256\n"
        f"{kind} sameuser +{LOGINS}{address} scram-sha-256\n"
        f"host all,replication {ours} all reject\n"
        f"local all,replication {ours} reject\n"
    )


def _rules(server: Server, session: Session) -> Layer:
    alone = "tenants are held by the access lists alone"
    try:
        found = rule_findings(session)
    except psycopg.errors.InsufficientPrivilege:
        holding = Holding.OPEN if server.rules_are_ours else Holding.LEFT
        return Layer("pg_hba.conf", holding, f"cannot be read here; {alone}")
    if not found:
        return Layer("pg_hba.conf", Holding.HOLDS, "a tenant's login reaches no database but its own")
    first = f"{found[0].where} {found[0].sentence}"
    return Layer("pg_hba.conf", Holding.OPEN if server.rules_are_ours else Holding.LEFT, f"{first}; {alone}")


def _tls(server: Server, session: Session) -> Layer:
    if server.host.startswith("/"):
        return Layer("TLS", Holding.HOLDS, "not needed: a Unix socket of this machine")
    row = session.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    if row is None or not row[0]:  # our own parameters insist on it
        return Layer("TLS", Holding.OPEN, "the connection is not encrypted")
    proof = "its name by its certificate" if server.tls_authority else "itself by SCRAM bound to the channel"
    return Layer("TLS", Holding.HOLDS, f"{row[1]}; the server proves {proof}")


def _proof() -> Layer:
    """The session itself is the evidence: it takes no other method (`login_parameters`)."""
    return Layer("SCRAM-SHA-256", Holding.HOLDS, "no password is ever sent, and none is kept on the server")


def _accepts_old_tls(platform: Platform, server: Server) -> bool:
    """Try it: the setting itself is shown to superusers only."""
    if server.host.startswith("/"):
        return False
    old = {"ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "TLSv1.2"}
    parameters: dict[str, Any] = {**login_parameters(platform, server, PROVISIONER, MAINTENANCE), **old}
    try:
        psycopg.connect(**parameters).close()
    except psycopg.OperationalError:
        return False
    return True


def _is_right(setting: str, value: str) -> bool:
    match setting:
        case "huge_pages":
            return value != "off"
        case "autovacuum_naptime":
            return int(value) >= 300  # seconds
        case "recovery_init_sync_method":
            return value == "syncfs"
        case _:
            return value == "scram-sha-256"


def _maximum(session: Session) -> int:
    row = session.execute("SELECT current_setting('max_connections')::int").fetchone()
    assert row is not None
    return int(row[0])
