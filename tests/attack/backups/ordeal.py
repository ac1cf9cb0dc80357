"""Rounds in which a command is killed in the middle, with what must hold after each."""

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from findings import Judge
from forked import Child, Zygote
from homestead import Held, Homestead, patiently
from kills import KILLS

from strongroom.backup import tasks
from strongroom.platform.jobs.app import defer_in
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.states import TenantState

_DAYS_EVERY = 10  # rounds after which the collector runs as if a day had passed
_MOST_COPIES = 3
COMMANDS = {
    "run": 5, "all": 2, "restore": 5, "copy": 3, "clone": 1, "verify": 2, "worker": 3, "write": 1, "replicate": 3,
    "clear-up": 2, "erase": 2,
}  # weights  # fmt: skip
HITS = {"call": 8, "worker": 3, "group": 2, "program": 3, "backend": 2, "postmaster": 1, "scratch": 2}
MEASURED = ("all", "run", "verify", "restore", "copy", "clone", "worker", "replicate", "clear-up", "erase")
_USUAL = (1.0, 2000)  # seconds and calls of a command that was not measured
KILLED, DONE, REFUSED = "killed", "done", "ended with a sentence"
_BUG = 70


@dataclass
class Plan:
    """How many rounds, and which chance."""

    rounds: int
    seed: int = 1
    commands: dict[str, int] = field(default_factory=lambda: dict(COMMANDS))
    measured: tuple[str, ...] = MEASURED
    finale: tuple[str, ...] = ("all", "verify", "worker", "replicate")  # what must succeed at the end
    beside: float = 0.25  # share of rounds in which another command runs at the same time, and is not killed
    announce: Callable[[str], None] = lambda _line: None


@dataclass(repr=False)
class Report:
    """What happened. `problems` must be empty."""

    rounds: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def killed(self) -> int:
        return sum(number for what, number in self.outcomes.items() if what.endswith(KILLED))

    def __str__(self) -> str:
        lines = [f"{self.rounds} rounds in {self.seconds:.0f} s, {self.killed} of them with a kill that hit"]
        lines += [f"  {number:>5}  {what}" for what, number in sorted(self.outcomes.items())]
        return "\n".join([*lines, f"problems: {len(self.problems)}", *(f"- {one}" for one in self.problems)])


def ordeal(home: Homestead, plan: Plan, log: Path) -> Report:
    """Carry out `plan` and report."""
    with ExitStack() as stack:
        zygotes = [Zygote(home.settings.home, home.tmp, log) for _ in range(2)]
        for zygote in zygotes:
            stack.callback(zygote.close)
        return _Ordeal(home, plan, zygotes).run()


class _Ordeal:
    def __init__(self, home: Homestead, plan: Plan, zygotes: list[Zygote]) -> None:
        self._home = home
        self._plan = plan
        self._zygote, self._other = zygotes
        self._pick = random.Random(plan.seed)
        self._judge = Judge(home)
        self._usual: dict[str, tuple[float, int]] = {}  # of each command: seconds, and calls in our code
        self._report = Report()
        self._journal = home.tmp.with_name("acknowledged")

    def run(self) -> Report:
        began = time.monotonic()
        self._measure()
        for number in range(1, self._plan.rounds + 1):
            self._round(number)
            if number % _DAYS_EVERY == 0:
                self._note(f"a day after round {number}", self._judge.after_a_day())
        self._end()
        self._report.seconds = time.monotonic() - began
        return self._report

    def _measure(self) -> None:
        """Let each command run once to its end: how long it takes, and how many calls; all must have a backup."""
        for command in self._plan.measured:
            began = time.monotonic()
            child = self._start(self._zygote, command, self._prepared(command))
            if child.wait() != 0:
                self._report.problems.append(f"undisturbed, {command} ended with {child.status}")
            self._usual[command] = (time.monotonic() - began, child.calls)
            self._judge.learn()
            self._note(f"undisturbed {command}", self._judge.after_round())

    def _round(self, number: int) -> None:
        command, hit = (self._pick.choices(list(of), list(of.values()))[0] for of in (self._plan.commands, HITS))
        held = self._prepared(command)
        beside = self._beside(held)
        word = self._hit(command, hit, held)
        if beside is not None:
            beside.wait()
        self._take_acknowledged()
        self._judge.learn()
        what = f"{command}, {hit}: {word}"
        self._report.rounds += 1
        self._report.outcomes[what] += 1
        self._note(f"round {number} ({what}{', beside another' if beside else ''})", self._judge.after_round())
        self._plan.announce(f"{number}: {what}")
        self._thin_out()

    def _prepared(self, command: str) -> Held:
        """Choose a workspace, and let it have changed where a backup is to be made."""
        held = self._pick.choice(list(self._home.held.values()))
        if command in {"run", "all", "worker"}:
            patiently(lambda: self._home.count_up(held))
        for one in self._home.held.values():
            one.before = one.low
        return held

    def _beside(self, held: Held) -> Child | None:
        """Something else that happens to be done at the same time, often to the same workspace."""
        if self._pick.random() >= self._plan.beside:
            return None
        return self._start(self._other, self._pick.choice(["run", "restore", "verify", "copy"]), held)

    def _hit(self, command: str, hit: str, held: Held) -> str:
        calls = self._usual.get(command, _USUAL)[1]
        dies_at = self._pick.randint(1, max(1, calls)) if hit == "call" else 0
        child = self._start(self._zygote, command, held, dies_at)
        if hit != "call" and KILLS[hit](self._home, child, self._pick) and hit in {"worker", "group"}:
            child.wait()
            return KILLED
        if command == "write" and not child.ended(1.0):
            KILLS["worker"](self._home, child, self._pick)
        status = child.wait()
        if status == _BUG or (status < 0 and status != -9):
            self._report.problems.append(f"{command}, {hit}: ended with status {status}")
        return KILLED if status < 0 else DONE if status == 0 else REFUSED

    def _start(self, zygote: Zygote, command: str, held: Held, dies_at: int = 0) -> Child:
        home = self._home
        if command == "worker":
            patiently(self._queue)
        arguments = {
            "run": ["backup", "run", held.slug],
            "all": ["backup", "run", "--all"],
            "verify": ["backup", "verify", "--all"],
            "restore": ["backup", "restore", held.slug, "--yes"],
            "copy": ["backup", "restore", held.slug, "--as", f"c-{secrets.token_hex(5)}", "--yes"],
            "clone": ["tenant", "clone", held.slug, f"c-{secrets.token_hex(5)}"],
            "erase": ["tenant", "erase", self._copy() or held.slug, *(["--yes"] if self._copy() else ["--help"])],
            "worker": ["worker", "--once"],
            "replicate": ["replicate", str(home.settings.home)],
            "clear-up": ["clear-up", str(home.settings.home)],
            "write": ["write", str(home.settings.home), str(self._journal)],
        }[command]
        return zygote.start(arguments, dies_at=dies_at, usual=self._usual.get(command, _USUAL)[0])

    def _queue(self) -> None:
        with self._home.platform.control.begin() as conn:
            for tenant_id in self._home.held:
                name = f"backup {tenant_id}"
                defer_in(conn, tasks.TENANT_TASK, lock=name, queueing_lock=name, tenant_id=tenant_id)

    def _take_acknowledged(self) -> None:
        """What was acknowledged must be there; the one write after it may be."""
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        self._journal.unlink(missing_ok=True)
        self._home.written = bool(lines)
        for line in lines:
            tenant_id, number = line.split()
            if tenant_id in self._home.held:
                self._home.held[tenant_id].low = int(number)
        for held in self._home.held.values():
            held.high = max(held.high, held.low) + bool(lines)

    def _note(self, when: str, found: list[str]) -> None:
        self._report.problems += [f"{when}: {one}" for one in found]
        for one in found:
            self._plan.announce(f"PROBLEM {when}: {one}")

    def _copy(self) -> str | None:
        """A workspace that may be erased."""
        with patiently(self._home.platform.control.connect) as conn:
            active = tenants.list_all(conn, [TenantState.ACTIVE])
        return next((one.slug for one in active if one.id not in self._home.held), None)

    def _thin_out(self) -> None:
        """Erase copies, so that a long run does not drown in them."""
        with patiently(self._home.platform.control.connect) as conn:
            active = tenants.list_all(conn, [TenantState.ACTIVE])
        if len(active) - len(self._home.held) > _MOST_COPIES:
            child = self._start(self._zygote, "erase", next(iter(self._home.held.values())))
            if child.wait() != 0:
                self._report.problems.append(f"undisturbed, erase ended with {child.status}")

    def _end(self) -> None:
        """The next run of everything succeeds, and leaves nothing."""
        for command in self._plan.finale:
            if (status := self._start(self._zygote, command, self._prepared(command)).wait()) != 0:
                self._report.problems.append(f"at the end, {command} ended with {status}")
            self._judge.learn()
            self._note(f"at the end, after {command}", self._judge.after_round())
        self._note("at the end, a day later", self._judge.after_a_day())
