"""The feed's messages: which fields we read of them. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, cast

from ....config.errors import CallError
from ...cards.masking import DOTS, mask
from ...webhooks.content import read_object
from ..expenses import money
from ..expenses.form import read_merchant

CREATED: Final = "transaction.created"
TOKEN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_EARLIEST: Final = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A payment by card; `amount` is negative for money that came back. `merchant` holds no card number."""

    card: str
    amount: Decimal
    currency: str
    merchant: str
    spent_on: date

    def to_json(self) -> str:
        """As it is kept: the fields that we read, no other."""
        return json.dumps(
            {
                "card": self.card,
                "amount": str(self.amount),
                "currency": self.currency,
                "merchant": self.merchant,
                "date": self.spent_on.isoformat(),
            }
        )


def check_token(text: str) -> str:
    """A processor's name for a card. Raises `CallError` for one that is malformed, or is the number itself."""
    token = text.strip()
    if DOTS in token or mask(token) != token:  # a form has masked it already
        raise CallError("This is a card number, which must never be entered here: take the processor's token.", "token")
    if not TOKEN.fullmatch(token):
        raise CallError("A token has letters, digits and . _ : - only.", "token")
    return token


def read(body: bytes | str) -> Transaction | None:
    """The transaction in `body`; None for a message of another type. Raises `CallError` for what is no message."""
    told = read_object(body)
    if told.get("type") != CREATED:
        return None
    data: object = told.get("data")
    if not isinstance(data, dict):
        raise CallError("A transaction needs data.")
    return from_data(cast(dict[str, Any], data))


def from_data(data: Mapping[str, Any]) -> Transaction:
    """The transaction of these fields. Raises `CallError`."""
    currency = money.check_currency(_text(data, "currency"))
    return Transaction(
        check_token(_text(data, "card")),
        money.parse_amount(_text(data, "amount"), currency, "."),
        currency,
        read_merchant(_text(data, "merchant")),
        _date(_text(data, "date")),
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value: object = data.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 500:
        raise CallError(f"The field “{name}” must be text.", name)
    return value


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise CallError("The date must be written as 2024-03-12.", "date") from error
    if found < _EARLIEST:
        raise CallError("This date is too long ago.", "date")
    return found
