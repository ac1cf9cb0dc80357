"""What a user would pick instead, under the same load in the same run: tests/bench/peers/, after their documentation.

In memory where the machine has enough of it: how long a disk takes to make files says nothing about any of them.
`STRONGROOM_BENCH_PEER_TENANTS` sets the largest number of tenants (200 when not set; each peer makes them anew).
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contenders import Strongroom
from driving import Load, Outcome, drive
from making import let_in, make_tenants
from measuring import Row, installed, places
from peers import pgbouncer_wildcard, schema_per_tenant
from peers.engine_per_tenant import EnginePerTenant
from peers.peer_server import PeerServer, peer_server
from peers.pgbouncer_wildcard import PgBouncerWildcard
from peers.schema_per_tenant import SchemaPerTenant
from peers.shared_tables_rls import SharedTables
from pictures import Series, draw_peers

MOST = int(os.environ.get("STRONGROOM_BENCH_PEER_TENANTS", "200"))
STEPS = sorted({min(MOST, step) for step in (10, 100, 1000)})
PROCESSES = 2
# django-tenants must be beaten, with a connection for each tenant (performance.md of the design).
_THROUGHPUT, _PROVISIONING = 3.0, 12.0

Outcomes = dict[int, Outcome]


def measure() -> list[Row]:
    place, where = list(places().items())[-1]
    ours_ms, ours = _ours(where)
    rows: list[Row] = []
    throughput: dict[str, Series] = {"Strongroom": _throughput(ours)}
    with peer_server(where) as server:
        for peer in _peers(server):
            made_ms, outcomes = _peer(peer)
            rows += _rows(peer.name, place, ours_ms, ours, made_ms, outcomes)
            throughput[peer.name] = _throughput(outcomes)
    draw_peers(throughput)
    return rows


def _ours(where: Path | None) -> tuple[float, Outcomes]:
    with installed(where) as (server, settings):
        let_in(server, settings, MOST + 150)
        milliseconds = make_tenants(settings.home, MOST, 1)
        contender = Strongroom(settings.home, (MOST + 100) // PROCESSES)
        return milliseconds, {step: _drive("Strongroom", contender, step) for step in STEPS}


def _peers(server: PeerServer) -> Sequence[Any]:
    peers: list[Any] = [SharedTables(server), EnginePerTenant(server)]
    peers += [PgBouncerWildcard.on(server)] if pgbouncer_wildcard.is_installed() else []
    return peers + ([SchemaPerTenant(server)] if schema_per_tenant.is_installed() else [])


def _peer(peer: Any) -> tuple[float, Outcomes]:
    milliseconds = peer.set_up(MOST)
    try:
        return milliseconds, {step: _drive(peer.name, peer, step) for step in STEPS}
    finally:
        peer.tear_down()


def _drive(name: str, contender: Any, tenants: int) -> Outcome:
    outcome = drive(contender, Load(tenants, processes=PROCESSES))
    words = f"{name}, {tenants} tenants: {outcome.throughput:.0f}/s, p99 {outcome.percentile(99):.1f} ms"
    sys.stderr.write(f"{words}, {outcome.errors} errors\n")
    return outcome


def _throughput(outcomes: Outcomes) -> Series:
    return {tenants: outcome.throughput for tenants, outcome in outcomes.items()}


def _rows(name: str, place: str, ours_ms: float, ours: Outcomes, made_ms: float, outcomes: Outcomes) -> list[Row]:
    beaten = name.startswith("django")
    rows = [
        Row(
            f"throughput, {tenants} tenants: {ours[tenants].throughput:,.0f} requests a second, "
            f"p99 {ours[tenants].percentile(99):.1f} ms",
            0,
            f"{name}: {outcome.throughput:,.0f}, p99 {outcome.percentile(99):.1f} ms, {outcome.errors} errors",
            0,
            ours[tenants].throughput / max(outcome.throughput, 0.001),
            "×",
            _THROUGHPUT if beaten and tenants == STEPS[-1] else None,
            at_least=True,
        )
        for tenants, outcome in outcomes.items()
    ]
    target = _PROVISIONING if beaten else None
    what = f"making a tenant, one after the other, {place}"
    return [*rows, Row(what, ours_ms, name, made_ms, made_ms / ours_ms, "× faster", target, at_least=True)]
