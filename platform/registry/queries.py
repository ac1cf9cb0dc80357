"""SQL of the registry's keeper: what has changed, which processes live, who may hold how many connections.

Plain SQL over the keeper's own connection: it runs every second in every process.
"""

import json
import os
import socket
from typing import Any

import psycopg

from .leases import LEASE_SECONDS, Claim
from .trust import LOOKBACK

CHANNELS = ("strongroom_tenant", "strongroom_server", "strongroom_lease")
Control = psycopg.Connection[tuple[Any, ...]]

# A process that is stopped in the middle of a transaction must not keep the others from renewing.
_LIMITS = "SET statement_timeout = '3s'; SET idle_in_transaction_session_timeout = '2s'"


def listen(conn: Control) -> None:
    """Hear of changes from now on."""
    conn.execute(_LIMITS)
    for channel in CHANNELS:
        conn.execute(f"LISTEN {channel}")


def changed_tenants(conn: Control) -> list[tuple[str, int, str]]:
    """Return id, generation and slug of the tenants that changed within the look-back."""
    rows = conn.execute(
        "SELECT id, generation, slug FROM tenant WHERE changed_at > now() - make_interval(secs => %s)", (LOOKBACK,)
    )
    return [(str(tenant_id), int(generation), str(slug)) for tenant_id, generation, slug in rows]


def put_process(conn: Control, process_id: str, kind: str) -> None:
    """Say that a process lives; forget those that have not said so for long."""
    conn.execute(
        "INSERT INTO process (id, kind, host, pid) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET seen_at = now()",
        (process_id, kind, socket.gethostname(), os.getpid()),
    )
    conn.execute("DELETE FROM process WHERE seen_at < now() - make_interval(secs => %s)", (LEASE_SECONDS,))


def remove_process(conn: Control, process_id: str) -> None:
    """Give up a process and its leases."""
    conn.execute("DELETE FROM process WHERE id = %s", (process_id,))


def lock_leases(conn: Control, server: str) -> None:
    """Let nobody else change the leases of a server until the transaction ends.

    A statement of its own: a statement that reads has to begin when the lock is held.
    """
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('strongroom lease ' || %s, 0))", (server,))


def claims(conn: Control, server: str) -> tuple[int | None, list[Claim]]:
    """Return the limit of a server, `None` when it was never asked or is gone, and the claims that hold."""
    row = conn.execute("SELECT connection_limit FROM server WHERE name = %s", (server,)).fetchone()
    rows = conn.execute(
        "SELECT process_id, connections, wanted FROM connection_lease WHERE server_name = %s AND lease_until > now()",
        (server,),
    )
    return row[0] if row else None, [Claim(*each) for each in rows]


def put_claim(conn: Control, server: str, claim: Claim, counters: dict[str, Any] | None) -> None:
    """Write what a process may hold; the lease lasts from now. `counters`: None leaves those that are there."""
    conn.execute(
        "INSERT INTO connection_lease (process_id, server_name, connections, wanted, lease_until, counters)"
        " SELECT %s, name, %s, %s, now() + make_interval(secs => %s), %s FROM server WHERE name = %s"
        " ON CONFLICT (process_id, server_name) DO UPDATE SET connections = EXCLUDED.connections,"
        " wanted = EXCLUDED.wanted, lease_until = EXCLUDED.lease_until,"
        " counters = CASE WHEN EXCLUDED.counters = '{}' THEN connection_lease.counters ELSE EXCLUDED.counters END",
        (claim.process, claim.connections, claim.wanted, LEASE_SECONDS, json.dumps(counters or {}), server),
    )


def set_limit(conn: Control, server: str, limit: int) -> None:
    """Record how many connections a server takes, unless somebody has said so already."""
    conn.execute(
        "UPDATE server SET connection_limit = %s WHERE name = %s AND connection_limit IS NULL", (limit, server)
    )


def announce(conn: Control, server: str) -> None:
    """Have the other processes look at their leases of a server now."""
    conn.execute("SELECT pg_notify('strongroom_lease', %s)", (server,))
