"""What became of a list: counted, what failed by name, and as a CSV file."""

import csv
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...config.errors import CallError, FailedError
from .making import Kind, Outcome

_FIELDS = ("line", "slug", "kind", "expenses", "seconds", "sentence")
_NOT_DONE = (Kind.REFUSED, Kind.FAILED)


@dataclass(slots=True)
class Report:
    """`rows` is how many the list has; `outcomes` are those that this run came to."""

    rows: int
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    seconds: float = 0.0

    def count(self, kind: Kind) -> int:
        """How many rows came out as `kind`."""
        return Counter(outcome.kind for outcome in self.outcomes)[kind]

    @property
    def open(self) -> list[Outcome]:
        """The rows that are not as the list says, in its order."""
        return sorted((one for one in self.outcomes if one.kind in _NOT_DONE), key=lambda one: one.line)

    @property
    def expenses(self) -> int:
        """How many expenses were loaded."""
        return sum(outcome.expenses for outcome in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        counts = {kind.replace(" ", "_"): self.count(kind) for kind in Kind}
        rate = round(len(self.outcomes) / self.seconds, 2) if self.seconds else None
        return {
            "rows": self.rows,
            "done": len(self.outcomes),
            **counts,
            "expenses": self.expenses,
            "seconds": round(self.seconds, 2),
            "per_second": rate,
            "failures": [asdict(one) for one in self.open],
        }

    def sentence(self) -> str:
        """The result for people."""
        parts = [f"{self.count(kind)} {kind}" for kind in Kind if self.count(kind)]
        rest = self.rows - len(self.outcomes)
        unseen = f"; {rest} were not come to" if rest else ""
        return (
            f"{self.rows} workspaces: {', '.join(parts) or 'nothing done'}{unseen}; {self.expenses} expenses loaded; "
            f"{self.seconds:.1f} s."
        )


def check_writable(path: Path, source: Path) -> None:
    """Raise `CallError` unless a report on the list `source` can be written to `path`: said before the work."""
    try:
        exists = path.exists()
        same, writable = exists and path.samefile(source), os.access(path if exists else path.parent, os.W_OK)
    except OSError as error:
        raise CallError(f"The report cannot be written to {path}: {error.strerror}.") from error
    if same:
        raise CallError(f"The report would replace the list {source}; name another file for it.")
    if path.is_dir() or not writable:
        raise CallError(f"The report cannot be written to {path}.")


def write_report(path: Path, report: Report) -> None:
    """Write one line for each row that was come to. Raises `FailedError`."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_FIELDS)
            for one in sorted(report.outcomes, key=lambda one: one.line):
                writer.writerow([one.line, one.slug, one.kind, one.expenses, f"{one.seconds:.3f}", one.sentence])
    except OSError as error:
        raise FailedError(f"The report cannot be written to {path}: {error.strerror}.") from error
