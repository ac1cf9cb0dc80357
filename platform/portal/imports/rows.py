"""One row of an import: from cells to a checked expense, or a sentence that says what is wrong. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import PurePath
from typing import Final
from uuid import UUID

from ....config.errors import CallError
from ...cards.masking import mask
from ...keys.emails import normalise_email
from ..expenses import money
from ..expenses.dates import parse_date
from ..expenses.form import ExpenseInput, read_merchant, read_note
from ..expenses.money import DecimalMark
from .text import Layout, Record

CATEGORY_LENGTH: Final = 80
NO_CATEGORY: Final = "Other"
NO_ID: Final = UUID(int=0)  # stands for a category that is only known by name until the row is stored
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """A checked row; `given.category_id` is not set yet, `category` names it. `receipt` is a file name or empty."""

    line: int
    given: ExpenseInput
    category: str
    member_id: UUID
    receipt: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a row is read with: `mark` of None with `mixed` means that the file uses both decimal marks."""

    layout: Layout
    base_currency: str
    members: Mapping[str, UUID]
    default_member_id: UUID
    today: date
    mark: DecimalMark | None = None
    mixed: bool = False


def read_row(record: Record, rules: Rules) -> ImportedRow:
    """The expense in one row. Raises `CallError` with one sentence for the first thing that is wrong."""
    if len(record.cells) != rules.layout.width:
        raise CallError(f"This row has {len(record.cells)} cells, the header has {rules.layout.width}.")

    def cell(column: str) -> str:
        place = rules.layout.columns.get(column)
        return "" if place is None else record.cells[place].strip()

    currency = money.check_currency(cell("currency") or rules.base_currency)
    amount = money.parse_amount(_certain(cell("amount"), rules), currency, rules.mark)
    rate = _rate(cell("fx_rate"), currency, rules.base_currency)
    given = ExpenseInput(
        spent_on=parse_date(cell("date"), rules.today),
        merchant=read_merchant(neutralised(cell("merchant"))),
        category_id=NO_ID,
        amount=amount,
        currency=currency,
        tax_amount=money.parse_tax(_certain(cell("tax_amount"), rules), currency, amount, rules.mark),
        fx_rate=rate,
        base_amount=money.to_base(amount, rate, rules.base_currency),
        base_currency=rules.base_currency,
        note=read_note(neutralised(cell("note"))),
    )
    return ImportedRow(
        record.line, given, _category(cell("category")), _member(cell("member"), rules), _receipt(cell("receipt"))
    )


def neutralised(text: str) -> str:
    """`text` with an apostrophe before what a spreadsheet would run as a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def decimal_marks(amounts: Iterable[str]) -> set[DecimalMark]:
    """The decimal marks that these amounts show beyond doubt."""
    return {mark for mark in map(money.decimal_mark_of, amounts) if mark is not None}


def _certain(text: str, rules: Rules) -> str:
    """`text`, unless the file mixes both decimal marks and this amount could mean either."""
    if rules.mixed and ("," in text or "." in text) and money.decimal_mark_of(text) is None:
        raise CallError(f"“{text[:40]}” could have either decimal mark, because this file uses both.", "amount")
    return text


def _rate(text: str, currency: str, base_currency: str) -> money.Decimal:
    if currency == base_currency:
        return money.Decimal(1)
    if not text:
        raise CallError(f"An amount in {currency} needs an fx_rate: what 1 {currency} is worth in {base_currency}.")
    return money.parse_rate(text)


def _category(text: str) -> str:
    name = mask(neutralised(" ".join(text.split())))
    if len(name) > CATEGORY_LENGTH:
        raise CallError(f"A category's name may have up to {CATEGORY_LENGTH} characters.")
    return name or NO_CATEGORY


def _member(text: str, rules: Rules) -> UUID:
    if not text:
        return rules.default_member_id
    member_id = rules.members.get(normalise_email(text))
    if member_id is None:
        raise CallError(f"“{text[:100]}” is not the e-mail address of a member here.")
    return member_id


def _receipt(text: str) -> str:
    if text and (PurePath(text).name != text or "\\" in text or text.startswith(".")):
        raise CallError("The receipt must be a file name without folders.")
    return text
