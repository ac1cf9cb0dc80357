"""`fleet migrate`: templates, then canaries one by one, then all others; a killed or stopped run is taken up again."""

import random
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ...config.errors import RefusedError, StrongroomError
from ...platform.control.platform import Platform
from ...platform.servers import queries as servers
from ...platform.servers.records import Server
from ...tenant_schema.migrate import REVISIONS, knows_revision, newest_revision
from ...tenant_schema.script import upgrade_script
from . import queries
from .database import PATIENCE, Patience, explained
from .expected import Expected, is_prepared, prepare_template
from .queries import Database
from .workers import Order, Outcome, Workers, workers

Say = Callable[[str], None]
_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended('fleet', 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended('fleet', 0))")


@dataclass(frozen=True, slots=True)
class Wish:
    """How careful and how fast. `budget`: how many databases may fail before no further one is begun."""

    canaries: int = 2
    parallel: int = 2
    budget: int = 5
    folder: Path = REVISIONS
    patience: Patience = PATIENCE


@dataclass(slots=True)
class Report:
    """What a run has done. `left`: databases that were not begun, or were in somebody else's hands."""

    revision: str
    current: int = 0  # that had nothing to be done, or were left by their workspace before they were begun
    upgraded: int = 0
    left: int = 0
    failed: list[Outcome] = field(default_factory=list[Outcome])
    differing: list[Outcome] = field(default_factory=list[Outcome])
    unready: dict[str, str] = field(default_factory=dict[str, str])  # servers whose template could not be upgraded
    stopped: str | None = None
    seconds: float = 0

    @property
    def complete(self) -> bool:
        """Whether every database is at the newest revision now and looks like it."""
        return not (self.failed or self.differing or self.left or self.unready)


def migrate_fleet(platform: Platform, wish: Wish | None = None, say: Say = lambda _: None) -> Report:
    """Bring every tenant's database, every spare and every template to the newest revision.

    Tenants are served meanwhile. What failed stays as it was, is in the report and is tried again by the next run; so
    is what a killed run has left. What differs from the template is compared again by each run until it is mended.
    Raises `RefusedError` when another run is at work.
    """
    wish, began = wish or Wish(), time.monotonic()
    with _alone(platform):
        report = _migrate(platform, wish, say)
    report.seconds = time.monotonic() - began
    return report


def _migrate(platform: Platform, wish: Wish, say: Say) -> Report:
    report = Report(newest_revision(wish.folder))
    with platform.control.connect() as conn:
        idle = not (queries.behind(conn, report.revision) or queries.unproven(conn, report.revision))
    ready = _prepare_templates(platform, wish, report, idle=idle)
    with platform.control.begin() as conn:  # once more: what was copied from a template until now is behind as well
        everything, behind = queries.databases(conn), queries.behind(conn, report.revision)
        queries.plan(conn, report.revision, [one.placement_id for one in behind])
    report.current, report.left = len(everything) - len(behind), len(behind)
    able = [one for one in behind if one.server in ready]
    order = Order(ready, wish.folder, wish.patience, wish.parallel, _needs_python(able, wish.folder))
    with workers(platform, order) as staff:
        _upgrade_all(staff, able, wish, report, say)
        _compare_all(platform, staff, order, report, say)
    return report


def _prepare_templates(
    platform: Platform, wish: Wish, report: Report, *, idle: bool
) -> dict[str, tuple[Server, Expected]]:
    """Upgrade the template of each server that answers: the first proof that the revisions work there.

    `idle`: no database needs it, so a template that is at the newest revision is not opened.
    """
    with platform.control.connect() as conn:
        known = servers.list_all(conn)
    ready: dict[str, tuple[Server, Expected]] = {}
    for server in known:
        try:
            if not (idle and is_prepared(platform, server, wish.folder)):
                ready[server.name] = server, prepare_template(platform, server, wish.folder)
        except (StrongroomError, DBAPIError, psycopg.Error) as error:
            report.unready[server.name] = explained(error)
    return ready


def _upgrade_all(staff: Workers, able: list[Database], wish: Wish, report: Report, say: Say) -> None:
    canaries, others = divided(able, wish.canaries)
    for canary in canaries:
        _upgrade(staff, [canary], 0, report, say)
        if report.failed:
            report.stopped = f"the canary {canary.label} failed"
            return
    _upgrade(staff, others, wish.budget, report, say)


def _compare_all(platform: Platform, staff: Workers, order: Order, report: Report, say: Say) -> None:
    """Compare with the template what this run has upgraded, and what an earlier one has left differing or unseen."""
    with platform.control.connect() as conn:
        unproven = [one for one in queries.unproven(conn, report.revision) if one.server in order.servers]
    for outcome in staff.compare(unproven):
        with platform.control.begin() as conn:
            queries.compared(conn, report.revision, outcome.database.placement_id, outcome.failure)
        if outcome.failure:
            (report.differing if outcome.differs else report.failed).append(outcome)
            say(f"{outcome.database.label}: {outcome.failure}")


def _upgrade(staff: Workers, databases: Iterable[Database], budget: int, report: Report, say: Say) -> None:
    """Upgrade until the budget of failures is overdrawn."""
    within_budget = takewhile(lambda _: len(report.failed) <= budget, databases)
    for outcome in staff.upgrade(within_budget):
        report.left -= not outcome.busy
        if outcome.failure:
            report.failed.append(outcome)
            say(f"{outcome.database.label}: {outcome.failure}")
        elif outcome.gone:
            report.current += 1
        elif not outcome.busy:
            report.upgraded += 1
            say(f"{outcome.database.label} done")
    if len(report.failed) > budget:
        report.stopped = f"more than {budget} failed"


def divided(databases: list[Database], canaries: int) -> tuple[list[Database], list[Database]]:
    """Return the canaries, which are workspaces before spares, and the others; both in random order."""
    shuffled = random.sample(databases, len(databases))
    shuffled.sort(key=lambda one: one.tenant_id is None)
    first, others = shuffled[:canaries], shuffled[canaries:]
    random.shuffle(others)
    return first, others


def _needs_python(databases: list[Database], folder: Path) -> bool:
    starts = {one.revision for one in databases if one.revision and knows_revision(one.revision, folder)}
    return any(upgrade_script(start, folder).statements is None for start in starts)


@contextmanager
def _alone(platform: Platform) -> Generator[None]:
    """Hold the fleet for this process; the lock ends with the process. Raises `RefusedError`."""
    with platform.control.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        if not conn.execute(_TRY_LOCK).scalar_one():
            raise RefusedError("Another `fleet migrate` is at work; wait for it to finish.")
        try:
            yield
        finally:
            conn.execute(_UNLOCK)
