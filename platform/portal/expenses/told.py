"""What webhooks tell of an expense: ids, amounts as text, the state. Never the merchant or the note."""

from datetime import date
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from . import money


class Told(Protocol):
    """What of an expense is told; the form's input and the rows of the database both have it."""

    @property
    def category_id(self) -> UUID: ...  # noqa: D102
    @property
    def spent_on(self) -> date: ...  # noqa: D102
    @property
    def amount(self) -> Decimal: ...  # noqa: D102
    @property
    def currency(self) -> str: ...  # noqa: D102
    @property
    def base_amount(self) -> Decimal: ...  # noqa: D102
    @property
    def base_currency(self) -> str: ...  # noqa: D102


def expense_data(
    expense_id: UUID, member_id: UUID, state: str, one: Told, report_id: UUID | None = None
) -> dict[str, object]:
    """The `data` of an event about an expense."""
    return {
        "expense_id": str(expense_id),
        "member_id": str(member_id),
        "report_id": str(report_id) if report_id else None,
        "state": state,
        "spent_on": one.spent_on.isoformat(),
        "category_id": str(one.category_id),
        "amount": amount_text(one.amount, one.currency),
        "currency": one.currency,
        "base_amount": amount_text(one.base_amount, one.base_currency),
        "base_currency": one.base_currency,
    }


def amount_text(amount: Decimal, currency: str) -> str:
    """An amount with exactly the digits that its currency has."""
    return str(round(amount, money.digits_of(currency)))
