"""`isolation verify`: the standing gate over all servers and, on request, real attacks on some tenants."""

import random
import time
from collections.abc import Sequence
from functools import partial

import psycopg
from sqlalchemy import insert

from ...config.errors import KeyMissingError, UnavailableError
from ...platform.control.platform import Platform
from ...platform.control.tables import verification
from ...platform.servers import queries as servers
from ...platform.servers.records import Server
from ...platform.tenants import placements
from ...platform.tenants.records import PlacementState
from ..names import Names
from ..sessions import migrator, provisioner
from .attempt import Attempt
from .finding import Finding
from .inside import findings
from .live import attack
from .report import Report
from .side_by_side import Progress, side_by_side
from .standing import Standing, standing

_GONE = {PlacementState.RETIRED, PlacementState.DROPPING, PlacementState.DROPPED}


def verify_isolation(platform: Platform, live: int = 0, progress: Progress = lambda _: None) -> Report:
    """Check every placement the control plane knows, attack `live` of them for real, record and return the result.

    `live` counts per server. `progress` gets a line per stage and per tenth of it. Tenants are taken from the control
    plane, never from `pg_database`. A gap is no exception but a finding; so is a server that does not answer. Raises
    `UnavailableError` when the control database does not.
    """
    report, began = Report(), time.monotonic()
    with platform.control.connect() as conn:
        known = servers.list_all(conn)
    for server in known:
        try:
            _verify_server(platform, server, live, report, progress)
        except (UnavailableError, KeyMissingError, psycopg.OperationalError):
            report.findings.append(Finding(server.name, "was not checked to the end: the platform cannot log in to it"))
    report.seconds = time.monotonic() - began
    with platform.control.begin() as conn:
        conn.execute(insert(verification).values(kind="isolation", passed=report.passed, report=report.as_json()))
    return report


def _verify_server(platform: Platform, server: Server, live: int, report: Report, progress: Progress) -> None:
    progress(f"Checking grants and rules on {server.name}")
    seen = standing(platform, server)
    report.findings += seen.findings
    report.tenants += len(seen.finished)
    _look_inside(platform, server, seen.enterable, report, progress)
    if live:
        _attack_some(platform, server, seen, live, report, progress)


def _look_inside(
    platform: Platform, server: Server, enterable: Sequence[Names], report: Report, progress: Progress
) -> None:
    look = partial(_inside, platform, server)
    for found in side_by_side(look, enterable, progress, f"databases on {server.name} looked into"):
        report.findings += found


def _inside(platform: Platform, server: Server, names: Names) -> list[Finding]:
    try:
        with migrator(platform, server, names.database) as session:
            return findings(session, names)
    except (UnavailableError, psycopg.OperationalError):
        if _is_gone(platform, names):
            return []  # closed since the catalogs were read
    with provisioner(platform, server):  # else it is the server that is away
        return [Finding(names.database, "could not be looked into: the migrator cannot enter it")]


def _attack_some(
    platform: Platform, server: Server, seen: Standing, live: int, report: Report, progress: Progress
) -> None:
    chosen = random.sample(seen.enterable, min(live, len(seen.enterable)))  # a sample, not a secret
    closed = set(seen.finished) - set(seen.enterable)

    def attacked_by(me: Names) -> tuple[list[Attempt], list[Finding]]:
        others = [other for other in seen.enterable if other != me]
        random.shuffle(others)  # the first one is the bystander, each time another
        return _attack(platform, server, me, [*others, *closed])

    for made, found in side_by_side(attacked_by, chosen, progress, f"attackers on {server.name} stopped"):
        report.count_all(made)
        report.findings += found


def _attack(
    platform: Platform, server: Server, me: Names, others: Sequence[Names]
) -> tuple[list[Attempt], list[Finding]]:
    """Return what was tried, also when the rest could not be, and then why."""
    made: list[Attempt] = []
    try:
        for attempt in attack(platform, server, me, others):
            made.append(attempt)  # noqa: PERF402 - keeps what was made before an exception
    except (psycopg.Error, KeyMissingError):
        if _is_gone(platform, me):
            return [attempt for attempt in made if not attempt.answer], []
        what = "to the end" if made else "at all: its own login cannot enter it"
        return made, [Finding(me.database, f"could not be attacked {what}")]
    return made, []


def _is_gone(platform: Platform, names: Names) -> bool:
    with platform.control.connect() as conn:
        return placements.by_id(conn, names.pid).state in _GONE
