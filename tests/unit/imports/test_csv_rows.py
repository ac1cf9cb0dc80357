from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from strongroom.config.errors import CallError
from strongroom.platform.portal.imports.rows import Rules, decimal_marks, neutralised, read_row
from strongroom.platform.portal.imports.text import Layout, Record

ANN, BEN = UUID(int=1), UUID(int=2)
COLUMNS = ("date", "merchant", "amount", "currency", "category", "member", "note", "receipt", "fx_rate", "tax_amount")
LAYOUT = Layout("utf-8", ",", {name: place for place, name in enumerate(COLUMNS)}, len(COLUMNS), ())


def rules(**changed: Any) -> Rules:
    usual: dict[str, Any] = {"today": date(2025, 1, 1), "members": {"ben@firm.example": BEN}}
    return Rules(LAYOUT, "GBP", default_member_id=ANN, **(usual | changed))


def record(**cells: str) -> Record:
    usual = {"date": "12/03/2024", "merchant": "Shop", "amount": "12.50"} | cells
    return Record(7, tuple(usual.get(name, "") for name in COLUMNS))


def test_a_row_becomes_an_expense_of_the_default_member() -> None:
    row = read_row(record(), rules())
    assert (row.line, row.member_id, row.category, row.receipt) == (7, ANN, "Other", "")
    assert row.given.spent_on == date(2024, 3, 12)
    assert (row.given.amount, row.given.currency, row.given.base_amount) == (Decimal("12.50"), "GBP", Decimal("12.50"))


def test_every_column_is_read() -> None:
    row = read_row(
        record(
            amount="-12.00", currency="eur", category=" Client  lunch ", member="Ben@Firm.example", note="why",
            receipt="007.jpg", fx_rate="0.85", tax_amount="2.00",
        ),
        rules(),
    )  # fmt: skip
    assert (row.member_id, row.category, row.receipt) == (BEN, "Client lunch", "007.jpg")
    given = row.given
    assert (given.amount, given.tax_amount, given.base_amount) == (-12, -2, Decimal("-10.20"))
    assert given.note == "why"


def test_formulas_are_neutralised_in_text_and_refused_as_amounts() -> None:
    row = read_row(record(merchant='=HYPERLINK("http://x")', note="@SUM(A1)", category="+cmd"), rules())
    assert row.given.merchant == '\'=HYPERLINK("http://x")'
    assert row.given.note == "'@SUM(A1)"
    assert row.category == "'+cmd"
    with pytest.raises(CallError, match="in digits"):
        read_row(record(amount="=1+1"), rules())
    assert neutralised("plain = text") == "plain = text"


def test_card_numbers_are_masked_in_every_text() -> None:
    card = "4111 1111 1111 1111"
    row = read_row(record(merchant=card, note=f"by {card}", category=card), rules())
    assert (row.given.merchant, row.given.note, row.category) == ("•••• 1111", "by •••• 1111", "•••• 1111")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"amount": ""}, "Enter the amount"),
        ({"amount": "12.345"}, "2 decimal places"),
        ({"date": "March 12"}, "in digits"),
        ({"date": "31/02/2024"}, "There is no 31/02/2024"),
        ({"merchant": " "}, "Enter the merchant"),
        ({"merchant": "x" * 201}, "200 characters"),
        ({"currency": "XYZ"}, "not a currency"),
        ({"currency": "EUR"}, "needs an fx_rate"),
        ({"currency": "EUR", "fx_rate": "none"}, "exchange rate as a number"),
        ({"member": "eve@firm.example"}, "not the e-mail address of a member"),
        ({"member": "Ben"}, "not a complete e-mail"),
        ({"receipt": "../../etc/passwd"}, "without folders"),
        ({"receipt": "a\\b.jpg"}, "without folders"),
        ({"category": "x" * 81}, "80 characters"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(cells: dict[str, str], sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        read_row(record(**cells), rules())


def test_rows_with_too_few_or_too_many_cells_are_refused() -> None:
    with pytest.raises(CallError, match="This row has 2 cells, the header has 10"):
        read_row(Record(3, ("a", "b")), rules())


def test_the_files_decimal_mark_decides_what_could_be_either() -> None:
    assert decimal_marks(["12,50", "1.234,00", "7"]) == {","}
    assert decimal_marks(["1,234", "x", ""]) == set()
    assert read_row(record(amount="1.234"), rules(mark=",")).given.amount == 1234
    assert read_row(record(amount="1,234"), rules(mark=".")).given.amount == 1234
    assert read_row(record(amount="12,50"), rules(mixed=True)).given.amount == Decimal("12.50")
    with pytest.raises(CallError, match="could have either decimal mark"):
        read_row(record(amount="1,234"), rules(mixed=True))
