"""The expense form: from what was typed to what is stored, or a sentence for each field that is wrong. Pure."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, TypeVar
from uuid import UUID

from ....config.errors import CallError
from ...cards.masking import mask
from . import money
from .dates import parse_date

MERCHANT_LENGTH: Final = 200
NOTE_LENGTH: Final = 2000
ENTERED: Final = "entered by hand"  # fx_source of a rate that a person typed
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExpenseInput:
    """A checked expense. `amount` is negative for a refund; `base_amount` is in the workspace's currency."""

    spent_on: date
    merchant: str
    category_id: UUID
    amount: Decimal
    currency: str
    tax_amount: Decimal | None
    fx_rate: Decimal
    base_amount: Decimal
    base_currency: str
    note: str

    def columns(self) -> dict[str, object]:
        """Values of the table's columns, all but the note, which is sealed with the row's id."""
        foreign = self.currency != self.base_currency
        return {
            "spent_on": self.spent_on,
            "merchant": self.merchant,
            "category_id": self.category_id,
            "amount": self.amount,
            "currency": self.currency,
            "digits": money.digits_of(self.currency),
            "tax_amount": self.tax_amount,
            "fx_rate": self.fx_rate,
            "fx_date": self.spent_on if foreign else None,
            "fx_source": ENTERED if foreign else None,
            "base_amount": self.base_amount,
            "base_currency": self.base_currency,
        }


class FormError(CallError):
    """Raised when fields of the form are wrong; `errors` has a sentence for each, by the field's name."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        """`errors` is not empty."""
        super().__init__(next(iter(errors.values())))
        self.errors = dict(errors)


def read(form: Mapping[str, str], base_currency: str, categories: Collection[UUID], today: date) -> ExpenseInput:
    """The expense that `form` describes. Raises `FormError` with a sentence for every wrong field."""
    errors: dict[str, str] = {}

    def checked(parse: Callable[..., T], *arguments: object) -> T | None:
        try:
            return parse(*arguments)
        except CallError as error:
            errors.setdefault(error.field or "form", str(error))
            return None

    spent_on = checked(parse_date, form.get("spent_on", ""), today)
    merchant = checked(read_merchant, form.get("merchant", ""))
    category_id = checked(_category, form.get("category", ""), categories)
    currency = checked(money.check_currency, form.get("currency", "") or base_currency)
    amount = checked(_amount, form, currency) if currency else None
    tax = checked(money.parse_tax, form.get("tax_amount", ""), currency, amount) if currency and amount else None
    rate = checked(_rate, form.get("fx_rate", ""), currency, base_currency) if currency else None
    base = checked(money.to_base, amount, rate, base_currency) if amount and rate else None
    note = checked(read_note, form.get("note", ""))
    if errors or None in (spent_on, merchant, category_id, currency, amount, rate, base, note):
        raise FormError(errors)
    assert spent_on and merchant and category_id and currency and amount and rate  # noqa: PT018  # for the type checker
    assert base is not None and note is not None  # noqa: PT018
    return ExpenseInput(spent_on, merchant, category_id, amount, currency, tax, rate, base, base_currency, note)


def read_merchant(text: str) -> str:
    """The merchant in one line, card numbers masked. Raises `CallError`."""
    merchant = mask(" ".join(_CONTROL.sub(" ", text).split()))
    if not merchant:
        raise CallError("Enter the merchant.", "merchant")
    if len(merchant) > MERCHANT_LENGTH:
        raise CallError(f"The merchant may have up to {MERCHANT_LENGTH} characters.", "merchant")
    return merchant


def read_note(text: str) -> str:
    """The note, card numbers masked; empty when there is none. Raises `CallError`."""
    note = mask(_CONTROL.sub("", text.replace("\r\n", "\n")).strip())
    if len(note) > NOTE_LENGTH:
        raise CallError(f"A note may have up to {NOTE_LENGTH:,} characters.", "note")
    return note


def _amount(form: Mapping[str, str], currency: str) -> Decimal:
    """The signed amount: a minus alone is a slip, so money that came back is said by a tick."""
    amount = money.parse_amount(form.get("amount", ""), currency)
    if amount < 0 and not form.get("refund"):
        raise CallError(
            "For money that came back, tick “This is a refund”; the amount itself needs no minus.", "amount"
        )
    return -abs(amount) if form.get("refund") else amount


def _rate(text: str, currency: str, base_currency: str) -> Decimal:
    if currency == base_currency:
        return Decimal(1)
    if not text.strip():
        raise CallError(f"Enter what 1 {currency} is worth in {base_currency}.", "fx_rate")
    return money.parse_rate(text)


def _category(text: str, categories: Collection[UUID]) -> UUID:
    try:
        chosen = UUID(text)
    except ValueError:
        chosen = None
    if chosen is None or chosen not in categories:
        raise CallError("Choose a category.", "category")
    return chosen
