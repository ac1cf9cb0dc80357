"""One gap that the standing gate found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Where the gap is (a database, a role, a rule) and what is wrong, as a clause without a full stop."""

    where: str
    sentence: str

    def as_json(self) -> dict[str, str]:
        """Return the fields of the report."""
        return {"where": self.where, "sentence": self.sentence}
