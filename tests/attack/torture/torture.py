"""Threads that ask workspaces for their marker, over the registry and over the application, under sabotage."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from flask import Flask
from offices import MARGIN, Office, Offices
from saboteur import WEIGHTS, Admin, Saboteur
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from uses import FAULTS, OWN, REFUSED, Answer, CancelledRequest, FaultError, ask_registry, ask_web, install_views

from strongroom.config.errors import StrongroomError
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.app import create_app

SETTLING = 120.0  # seconds after which everything must be quiet again; waits for the condition, not for the time
_LEFT_BEHIND = text("SELECT key, value #>> '{}' FROM app.setting WHERE key IN ('marker', 'half-done')")
_BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY(%s) AND usename = datname"


@dataclass
class Plan:
    """How much, how wide, how often something goes wrong."""

    requests: int
    threads: int = 6
    offices: int = 8
    processes: int = 2  # platforms with a registry each, as in two web processes
    budget: int = 4
    per_tenant: int = 1
    announce: Callable[[int], None] = lambda _done: None  # told by each thread after every thousand of its requests
    web: float = 0.2  # share of requests that go through the whole application
    faulty: float = 0.3  # share of requests in which something goes wrong
    borrowed: float = 0.1  # share of the clean requests that borrow the connection itself, or see a real page
    least: float = 0.35  # of the requests over each door, answered with the own marker: half of what is usual
    patience: float = 0.0  # seconds that whoever was refused waits; else the refusals of a restart use up the requests
    seed: int = 1
    pace: float = 0.05  # longest pause of the saboteur
    weights: dict[str, int] = field(default_factory=lambda: dict(WEIGHTS))
    cache_seconds: float = 0.3


@dataclass(repr=False)
class Report:
    """What happened. `problems` must be empty."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    doors: Counter[str] = field(default_factory=Counter[str])  # requests over the registry, and over the web
    served: Counter[str] = field(default_factory=Counter[str])  # those of them that were answered with the own marker
    faults: Counter[str] = field(default_factory=Counter[str])
    sabotage: Counter[str] = field(default_factory=Counter[str])
    stats: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    problems: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        return self.outcomes.total()

    @property
    def wrong_markers(self) -> int:
        return sum(self.outcomes[one] for one in ("wrong marker", "wrong address", "wrong session", "too late"))

    def refusing(self, least: float) -> list[str]:
        """A sentence for each door that answered fewer with the own marker: whoever is refused sees nothing wrong."""
        return [
            f"Only {self.served[door]:,} of {asked:,} requests over the {door} were answered with their own marker, "
            f"not {least:.0%}: look at the outcomes for what refuses the rest."
            for door, asked in self.doors.items()
            if self.served[door] < least * asked
        ]

    def __str__(self) -> str:
        lines = [f"{self.requests:,} requests in {self.seconds:.0f} s, wrong markers: {self.wrong_markers}"]
        lines += [f"own marker over the {door}: {self.served[door] / asked:.0%}" for door, asked in self.doors.items()]
        for title, counts in (("outcomes", self.outcomes), ("faults", self.faults), ("sabotage", self.sabotage)):
            lines += [f"{title}:", *(f"  {number:>9,}  {what}" for what, number in counts.most_common())]
        lines += [f"registry: {stats}" for stats in self.stats]
        return "\n".join([*lines, f"problems: {len(self.problems)}", *(f"- {one[-600:]}" for one in self.problems[:8])])


def torture(platform: Platform, admin: Admin, make: Callable[[], Tenant], plan: Plan) -> Report:
    """Carry out `plan` and report. `platform` sets up; those under test are opened and closed here."""
    report = Report()
    offices = Offices(platform, make, plan.cache_seconds + MARGIN)
    for _ in range(plan.offices):
        offices.add()
    changes = {
        "connection_budget": plan.budget,
        "connections_per_tenant": plan.per_tenant,
        "checkout_timeout": 0.5,
        "tenant_cache_seconds": plan.cache_seconds,
    }
    settings = replace(platform.settings, **changes)
    with ExitStack() as stack:
        stack.enter_context(_listening(report))
        tested = [stack.enter_context(open_platform(settings)) for _ in range(plan.processes)]
        apps = [_app(one) for one in tested]
        saboteur = Saboteur(offices, [one.registry for one in tested], admin, plan.seed, plan.weights, plan.pace)
        saboteur.start()
        began = time.monotonic()
        try:
            _ask(offices, tested, apps, plan, report)
        finally:
            report.seconds = time.monotonic() - began
            saboteur.stop()
        report.sabotage = saboteur.counts
        report.problems += saboteur.problems + report.refusing(plan.least)
        _settle(offices, tested, admin, plan, report)
    return report


def _app(platform: Platform) -> Flask:
    app = create_app(platform)
    install_views(app)
    return app


def _ask(offices: Offices, tested: list[Platform], apps: list[Flask], plan: Plan, report: Report) -> None:
    share = plan.requests // plan.threads
    users = [_User(offices, tested, apps, plan, seed, share) for seed in range(plan.threads)]
    for user in users:
        user.start()
    for user in users:
        user.join()
        report.outcomes += user.outcomes
        report.doors += user.doors
        report.served += user.served
        report.faults += user.faults
        report.problems += user.problems


class _User(threading.Thread):
    """One thread of a web server: in each process now and then, as the kernel gives it connections."""

    def __init__(
        self, offices: Offices, tested: list[Platform], apps: list[Flask], plan: Plan, seed: int, requests: int
    ) -> None:
        super().__init__(name=f"user-{seed}", daemon=True)
        self.outcomes: Counter[str] = Counter()
        self.doors: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.problems: list[str] = []
        self._offices = offices
        self._tested = tested
        self._apps = apps
        self._plan = plan
        self._requests = requests
        self._pick = random.Random(f"{plan.seed}/{seed}")
        self._records: dict[str, Tenant] = {}

    def run(self) -> None:
        """Ask as often as planned."""
        for number in range(self._requests):
            self._ask(self._whom(), self._pick.randrange(len(self._tested)))
            if number % 1000 == 999:
                self._plan.announce(1000)

    def _whom(self) -> Office:
        """Some are asked for more often than others, as in life; and now and then one that is gone."""
        with self._offices.lock:
            gone = self._pick.random() < 0.02
            everybody = self._offices.everybody[-50:] if gone else list(self._offices.open.values())
        return everybody[min(int(self._pick.expovariate(4.0) * len(everybody)), len(everybody) - 1)]

    def _ask(self, office: Office, process: int) -> None:
        pick, web = self._pick, self._pick.random() < self._plan.web
        fault = pick.choice(FAULTS) if pick.random() < self._plan.faulty else ""
        if not fault and pick.random() < self._plan.borrowed:
            fault = pick.choice(["sign-in", "profile"]) if web else "borrow"
        try:
            if web:
                answer = ask_web(self._offices, self._apps[process], office, fault)
            else:
                registry = self._tested[process].registry
                answer = ask_registry(self._offices, registry, office, fault, pick, self._records)
        except CancelledRequest:
            self.problems.append(f"{fault}: a cancelled request escaped")
            return
        self._count("web" if web else "registry", answer)
        if fault:
            self.faults[fault] += 1
        if answer.wrong and len(self.problems) < 20:
            self.problems.append(f"{answer.outcome}: {answer.wrong}")
        if answer.outcome.startswith(REFUSED):
            time.sleep(self._plan.patience)

    def _count(self, door: str, answer: Answer) -> None:
        self.outcomes[answer.outcome] += 1
        self.doors[door] += 1
        self.served[door] += answer.outcome == OWN


def _settle(offices: Offices, tested: list[Platform], admin: Admin, plan: Plan, report: Report) -> None:
    """Afterwards nothing is lent, nobody waits, the server has the sessions that the registries say, and all answer."""
    deadline = time.monotonic() + SETTLING
    while (wrong := _unsettled(offices, tested, admin, plan)) and time.monotonic() < deadline:
        time.sleep(0.05)
    report.problems += wrong
    report.stats = [counters(stats) for one in tested for stats in one.registry.stats().values()]


def counters(stats: dict[str, Any]) -> dict[str, Any]:
    """The numbers that are counted, without the tenants by name."""
    return {name: value for name, value in stats.items() if isinstance(value, int)}


def _unsettled(offices: Offices, tested: list[Platform], admin: Admin, plan: Plan) -> list[str]:
    wrong: list[str] = []
    try:
        for platform in tested:
            wrong += [w for office in offices.open.values() if (w := _does_not_answer(platform, office))]
        everything = [stats for one in tested for stats in one.registry.stats().values()]
        for stats in everything:
            if stats["busy"] or stats["waiting"] or stats["open"] > plan.budget:
                wrong.append(f"the budget is not at rest: {stats}")
        with admin() as conn:
            row = conn.execute(_BACKENDS, ([one.database for one in offices.everybody],)).fetchone()
        lent = sum(stats["open"] for stats in everything)
        if row and row[0] != lent:
            wrong.append(f"the server has {row[0]} sessions, the registries {lent}")
    except Exception as error:  # noqa: BLE001  # told, unless it passes
        wrong.append(f"afterwards: {type(error).__name__}: {error}")
    return wrong


def _does_not_answer(platform: Platform, office: Office) -> str | None:
    """A clean request works, and nothing that was left half-done was kept."""
    try:
        with platform.registry.connect(platform.registry.resolve(office.host)) as conn:
            rows = conn.execute(
                text("SELECT key, value #>> '{}' FROM app.setting WHERE key IN ('marker', 'half-done')")
            )
            found = {str(key): str(value) for key, value in rows}
    except StrongroomError as error:
        return f"{office.id} does not answer: {error}"
    return None if found == {"marker": office.id} else f"{office.id} keeps {found}"


@contextmanager
def _listening(report: Report) -> Generator[None]:
    """Keep what the code under test logs as a bug; what it logs as refusal is expected by the hundred."""
    logger = logging.getLogger("strongroom")
    ears, propagate = _Ears(report), logger.propagate
    logger.addHandler(ears)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(ears)


class _Ears(logging.Handler):
    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """Note an unexpected error with its traceback."""
        if record.levelno < logging.ERROR:
            return
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (FaultError, OperationalError)) or (error and "division by zero" in str(error)):
            return
        if error and ("permission denied" in str(error) or "the connection is closed" in str(error)):
            return
        if len(self._report.problems) < 20:
            self._report.problems.append(f"logged: {logging.Formatter().format(record)}")
