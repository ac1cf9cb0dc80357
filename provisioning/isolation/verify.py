"""`isolation verify`: the standing gate over all servers and, on request, real attacks on some tenants."""

import random
import time
from collections.abc import Callable, Sequence

import psycopg
from sqlalchemy import insert

from ...config.errors import UnavailableError
from ...platform.control.platform import Platform
from ...platform.control.tables import verification
from ...platform.servers import queries as servers
from ...platform.servers.records import Server
from ...platform.tenants import placements
from ...platform.tenants.records import PlacementState
from ..names import Names
from ..sessions import migrator
from .finding import Finding
from .inside import findings
from .live import attack
from .report import Report
from .standing import standing

_NEIGHBOURS = 20  # other tenants' databases that one attacker tries to enter


def verify_isolation(platform: Platform, live: int = 0, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Check every placement the control plane knows, attack `live` of them for real, record and return the result.

    `progress` gets one line per stage. Tenants are taken from the control plane, never from `pg_database`. Raises
    `UnavailableError` when a server does not answer; a gap is no exception but a finding.
    """
    report, began = Report(), time.monotonic()
    with platform.control.connect() as conn:
        known = servers.list_all(conn)
    for server in known:
        progress(f"Checking grants and rules on {server.name}")
        seen = standing(platform, server)
        report.findings += seen.findings
        report.tenants += len(seen.finished)
        progress(f"Looking into {len(seen.enterable)} databases on {server.name}")
        for names in seen.enterable:
            report.findings += _inside(platform, server, names)
        if live:
            chosen = random.sample(seen.enterable, min(live, len(seen.enterable)))  # a sample, not a secret
            progress(f"Attacking {len(chosen)} of them on {server.name}")
            _attack(platform, server, chosen, seen.finished, report)
    report.seconds = time.monotonic() - began
    with platform.control.begin() as conn:
        conn.execute(insert(verification).values(kind="isolation", passed=report.passed, report=report.as_json()))
    return report


def _inside(platform: Platform, server: Server, names: Names) -> list[Finding]:
    try:
        with migrator(platform, server, names.database) as session:
            return findings(session, names)
    except UnavailableError:
        with platform.control.connect() as conn:
            state = placements.by_id(conn, names.pid).state
        if state in {PlacementState.RETIRED, PlacementState.DROPPING, PlacementState.DROPPED}:
            return []  # closed since the catalogs were read
        raise


def _attack(
    platform: Platform, server: Server, chosen: Sequence[Names], names: Sequence[Names], report: Report
) -> None:
    for me in chosen:
        others = [other for other in names if other != me]
        others = random.sample(others, min(_NEIGHBOURS, len(others)))  # a sample, not a secret
        try:
            for attempt in attack(server, platform.keys.placement(me.pid), me, others):
                report.count(attempt)
            report.attacked += 1
        except psycopg.Error:
            report.findings.append(Finding(me.database, "could not be attacked: its own login cannot enter it"))
