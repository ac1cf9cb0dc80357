"""The audit log's events of an expense or report, in words. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from ....tenant_schema.queries.history import Event
from ...web.formats import plural


@dataclass(frozen=True, slots=True)
class Sentence:
    """Who did what, when; `actor` and `words` together read as one sentence."""

    at: datetime
    actor: str
    words: str
    detail: str


FIELDS: Final = {
    "spent_on": "date",
    "category_id": "category",
    "amount": "amount",
    "currency": "currency",
    "tax_amount": "tax",
    "fx_rate": "exchange rate",
    "merchant": "merchant",
    "note": "note",
}
ACTIONS: Final = {
    "expense.created": "created this expense",
    "expense.imported": "imported this expense",
    "expense.from_card": "entered this expense from a card payment",
    "expense.changed": "changed this expense",
    "report.submitted": "submitted it for approval",
    "report.withdrawn": "withdrew it",
    "report.approved": "approved it",
    "report.returned": "returned it",
    "report.handed_over": "handed it over for approval",
    "report.paid": "marked it as paid",
}


def sentences(events: Iterable[Event], people: Mapping[UUID, str]) -> list[Sentence]:
    """One sentence for each event that a reader has words for."""
    return [
        Sentence(event.at, _name(event.actor_id, people), ACTIONS[event.action], _detail(event.detail, people))
        for event in events
        if event.action in ACTIONS
    ]


def _name(who: UUID | None, people: Mapping[UUID, str]) -> str:
    return people.get(who, "A former member") if who else "Strongroom"


def _detail(detail: dict[str, Any], people: Mapping[UUID, str]) -> str:
    changed = [FIELDS[name] for name in detail.get("changed", {}) if name in FIELDS]
    if changed:
        return ", ".join(changed)
    if detail.get("bypassed"):
        return f"in place of {people.get(UUID(detail['bypassed']), 'the approver')}"
    if "to" in detail:
        return f"to {people.get(UUID(detail['to']), 'another approver') if detail['to'] else 'any Owner or Admin'}"
    if detail.get("own"):
        return "their own, as this workspace allows"
    if isinstance(detail.get("expenses"), list):
        return plural(len(detail["expenses"]), "expense")
    return ""
