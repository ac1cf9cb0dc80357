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

from strongroom.backup import catalogue, tasks
from strongroom.platform.jobs.app import defer_in
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.placements import drop_placement

_DAYS_EVERY = 10  # rounds after which the collector runs as if a day had passed
_MOST_COPIES = 3
COMMANDS = {"run": 5, "all": 2, "restore": 5, "copy": 2, "verify": 2, "worker": 3, "write": 1}  # weights
HITS = {"call": 8, "worker": 3, "group": 2, "program": 3, "backend": 2, "postmaster": 1, "scratch": 2}
KILLED, DONE, REFUSED = "killed", "done", "ended with a sentence"
_BUG = 70


@dataclass
class Plan:
    """How many rounds, and which chance."""

    rounds: int
    seed: int = 1
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
        for command in ("all", "run", "verify", "restore", "copy", "worker"):
            began = time.monotonic()
            child = self._start(self._zygote, command, self._prepared(command))
            if child.wait() != 0:
                self._report.problems.append(f"undisturbed, {command} ended with {child.status}")
            self._usual[command] = (time.monotonic() - began, child.calls)
            self._judge.learn()
            self._note(f"undisturbed {command}", self._judge.after_round())
        self._usual["write"] = (1.0, 2000)

    def _round(self, number: int) -> None:
        command, hit = (self._pick.choices(list(of), list(of.values()))[0] for of in (COMMANDS, HITS))
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
        return held

    def _beside(self, held: Held) -> Child | None:
        """Something else that happens to be done at the same time, often to the same workspace."""
        if self._pick.random() >= self._plan.beside:
            return None
        return self._start(self._other, self._pick.choice(["run", "restore", "verify", "copy"]), held)

    def _hit(self, command: str, hit: str, held: Held) -> str:
        calls = self._usual[command][1]
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
            "worker": ["worker", "--once"],
            "write": ["write", str(home.settings.home), str(self._journal)],
        }[command]
        return zygote.start(arguments, dies_at=dies_at, usual=self._usual.get(command, (1.0, 0))[0])

    def _queue(self) -> None:
        with self._home.platform.control.begin() as conn:
            for tenant_id in self._home.held:
                name = f"backup {tenant_id}"
                defer_in(conn, tasks.TENANT_TASK, lock=name, queueing_lock=name, tenant_id=tenant_id)

    def _take_acknowledged(self) -> None:
        """What was acknowledged must be there; the one write after it may be."""
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        self._journal.unlink(missing_ok=True)
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

    def _thin_out(self) -> None:
        """Remove copies, so that a long run does not drown in them."""
        platform = self._home.platform
        with patiently(platform.control.connect) as conn:
            copies = [one for one in tenants.list_all(conn, [TenantState.ACTIVE]) if one.id not in self._home.held]
        for copy in copies[_MOST_COPIES:]:
            with platform.control.begin() as conn:
                tenants.set_state(conn, copy.id, TenantState.ERASED)
            patiently(lambda copy=copy: drop_placement(platform, copy.placement_id or ""))
            platform.keys.destroy_tenant(copy.id)
            with platform.control.begin() as conn:
                for backup in catalogue.listing(conn, copy.id):
                    catalogue.forget(conn, backup.id)

    def _end(self) -> None:
        """The next run of everything succeeds, and leaves nothing."""
        for command in ("all", "verify", "worker"):
            if (status := self._start(self._zygote, command, self._prepared(command)).wait()) != 0:
                self._report.problems.append(f"at the end, {command} ended with {status}")
            self._judge.learn()
            self._note(f"at the end, after {command}", self._judge.after_round())
        self._note("at the end, a day later", self._judge.after_a_day())
