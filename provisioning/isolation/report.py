"""The outcome of `isolation verify`."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .finding import Finding
from .live import Attempt


@dataclass(slots=True)
class Report:
    """What was checked and tried. `through` lists the attacks that nothing stopped."""

    tenants: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list[Finding])
    attacked: int = 0  # tenants whose login was used for real attacks
    attempts: int = 0
    blocked: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])  # (group, layer) → how many
    through: list[Attempt] = field(default_factory=list[Attempt])

    @property
    def passed(self) -> bool:
        """Whether there is no gap and no attack got through."""
        return not self.findings and not self.through

    def count(self, attempt: Attempt) -> None:
        """Add one attack."""
        self.attempts += 1
        if attempt.layer is None:
            self.through.append(attempt)
        else:
            self.blocked[attempt.group, attempt.layer] += 1

    def problems(self) -> list[str]:
        """Return one sentence per gap and per attack that got through."""
        return [f"{f.where} {f.sentence}." for f in self.findings] + [
            f"{a.attacker} got through: {a.what}." for a in self.through
        ]

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
            "layers": [
                {"group": group, "layer": layer, "blocked": count}
                for (group, layer), count in sorted(self.blocked.items())
            ],
            "through": [{"attacker": a.attacker, "group": a.group, "what": a.what} for a in self.through],
        }
