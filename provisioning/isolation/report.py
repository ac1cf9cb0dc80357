"""The outcome of `isolation verify`."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .attempt import WATCHED, Attempt
from .finding import Finding


@dataclass(slots=True)
class Report:
    """What was checked and tried. `through` lists the attacks that nothing stopped, or that proved nothing.

    `watched` are those that PostgreSQL allows to every role about itself; the standing gate sees their effect.
    """

    tenants: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list[Finding])
    attacked: int = 0  # tenants whose login was used for real attacks
    attempts: int = 0
    blocked: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])  # (group, layer) → how many
    watched: int = 0
    through: list[Attempt] = field(default_factory=list[Attempt])

    @property
    def passed(self) -> bool:
        """Whether there is no gap and no attack got through."""
        return not self.findings and not self.through

    def count_all(self, attempts: list[Attempt]) -> None:
        """Add the attacks of one attacker."""
        self.attacked += 1 if attempts else 0
        self.attempts += len(attempts)
        for attempt in attempts:
            if attempt.layer is None:
                self.through.append(attempt)
            elif attempt.layer == WATCHED:
                self.watched += 1
            else:
                self.blocked[attempt.group, attempt.layer] += 1

    def problems(self) -> list[str]:
        """Return one sentence per gap and per attack that was not stopped."""
        return [f"{f.where} {f.sentence}." for f in self.findings] + [attempt.sentence() for attempt in self.through]

    def sentence(self) -> str:
        """Say in one sentence what was done, for a report without problems."""
        words = f"{self.tenants} databases checked in {self.seconds:.1f} s: nothing is open"
        if not self.attacked:
            return f"{words}."
        blocked, watched = sum(self.blocked.values()), ""
        if self.watched:
            watched = f"; {self.watched} changes that a login may make to itself, which PostgreSQL allows, are watched"
        return f"{words}; {blocked} attacks by {self.attacked} of them were stopped{watched}."

    def layers(self) -> list[dict[str, Any]]:
        """Return the rows of the report's table: how many attacks of a group were stopped by which layer."""
        counts = sorted(self.blocked.items())
        return [{"group": group, "layer": layer, "blocked": count} for (group, layer), count in counts]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and the table `verification` keeps."""
        return {
            "passed": self.passed,
            "tenants": self.tenants,
            "seconds": round(self.seconds, 2),
            "findings": [f.as_json() for f in self.findings],
            "attacked": self.attacked,
            "attempts": self.attempts,
            "blocked": sum(self.blocked.values()),
            "watched": self.watched,
            "layers": self.layers(),
            "through": [
                {"attacker": a.attacker, "group": a.group, "what": a.what, "answer": a.answer} for a in self.through
            ],
        }
