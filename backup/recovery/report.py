"""What a recovery has brought back, what it has not, and what is lost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...config.errors import FailedError, StrongroomError, VerificationError
from .fates import Fate

_ORDER = (Fate.FAILED, Fate.RESTORED, Fate.KEPT, Fate.WAITING, Fate.PENDING, Fate.ERASED)


@dataclass(frozen=True, slots=True)
class Report:
    """The document `recovery.json` of a home, read."""

    document: Mapping[str, Any]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Report":
        """Make the report of a recovery's document."""
        return cls(document)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each workspace: failures first, then by the time of the backup."""
        rows = [{"id": tenant_id, **row} for tenant_id, row in self.document["workspaces"].items()]
        return sorted(rows, key=lambda row: (_ORDER.index(Fate(row["state"])), row["as_of"] or "", row["slug"]))

    def counts(self) -> dict[str, int]:
        """Return how many workspaces have met each fate."""
        found = Counter(row["state"] for row in self.document["workspaces"].values())
        return {fate.value: found[fate.value] for fate in _ORDER if found[fate.value]}

    def to_json(self) -> dict[str, Any]:
        """Return the whole document, the workspaces as a list."""
        return {**self.document, "workspaces": self.rows(), "counts": self.counts()}

    def summary(self) -> str:
        """Say in a few sentences what is back and what is lost."""
        counted = ", ".join(f"{count} {state}" for state, count in self.counts().items()) or "no workspaces"
        return f"Control plane as of {self.document['control']['as_of']}; workspaces: {counted}.{self._loss()}"

    def error(self) -> StrongroomError | None:
        """Return what to raise once the report was shown; None if every workspace that was asked for is back."""
        failed = [row for row in self.rows() if row["state"] == Fate.FAILED]
        if not failed:
            return None
        kind = VerificationError if any(row["verification"] for row in failed) else FailedError
        first = failed[0]
        return kind(f"{len(failed)} workspaces are not back; the first, “{first['slug']}”: {first['note']}")

    def _loss(self) -> str:
        moments = [row["as_of"] for row in self.rows() if row["as_of"]]
        if not moments:
            return ""
        oldest = min(map(datetime.fromisoformat, moments))
        age = int((datetime.now(UTC) - oldest).total_seconds()) // 60
        damaged = sum(row["damaged"] for row in self.rows())
        older = f" {damaged} damaged backups were passed over for older ones." if damaged else ""
        return (
            f" What was entered after the time in “AS OF” is lost; the oldest of them is {_duration(age)} ago.{older}"
        )


def _duration(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"
