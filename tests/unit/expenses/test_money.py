from decimal import Decimal

import pytest

from strongroom.config.errors import CallError
from strongroom.platform.portal.expenses import money


@pytest.mark.parametrize(
    ("text", "currency", "value"),
    [
        ("12.50", "GBP", "12.50"),
        (" 1,234.56 ", "GBP", "1234.56"),
        ("1.234,56", "EUR", "1234.56"),
        ("1 234,5", "EUR", "1234.5"),
        ("1\N{NARROW NO-BREAK SPACE}234,50", "EUR", "1234.50"),
        ("1'234.50", "CHF", "1234.50"),
        ("12,5", "EUR", "12.5"),
        ("1,234", "GBP", "1234"),
        ("1,234,567", "GBP", "1234567"),
        ("1.234.567", "EUR", "1234567"),
        (".5", "GBP", "0.5"),
        ("0,99", "EUR", "0.99"),
        ("12.", "GBP", "12"),
        ("-3.10", "GBP", "-3.10"),
        ("\N{MINUS SIGN}3.10", "GBP", "-3.10"),
        ("+3", "GBP", "3"),
        ("1500", "JPY", "1500"),
        ("1.234", "KWD", "1.234"),
        ("12.500", "GBP", "12.5"),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, currency: str, value: str) -> None:
    assert money.parse_amount(text, currency) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "currency", "part"),
    [
        ("", "GBP", "Enter the amount"),
        ("  ", "GBP", "Enter the amount"),
        ("NaN", "GBP", "in digits"),
        ("Infinity", "GBP", "in digits"),
        ("1e5", "GBP", "in digits"),
        ("0x10", "GBP", "in digits"),
        ("١٢", "GBP", "in digits"),
        ("£12", "GBP", "in digits"),
        ("--5", "GBP", "in digits"),
        ("=1+1", "GBP", "in digits"),
        ("12.3.4", "GBP", "threes"),
        ("1,23,456", "GBP", "threes"),
        ("1,23.50", "GBP", "threes"),
        ("12.345", "GBP", "2 decimal places"),
        ("1.234", "EUR", "2 decimal places"),
        ("0.001", "GBP", "2 decimal places"),
        ("10.5", "JPY", "no decimal places"),
        ("1,234", "KWD", "not clear"),
        ("0", "GBP", "zero"),
        ("-0.00", "GBP", "zero"),
        ("1000000000000", "GBP", "too large"),
        ("9" * 40, "GBP", "too large"),
        ("9" * 4000, "GBP", "in digits"),
    ],
)
def test_what_is_no_amount_is_refused_with_a_sentence(text: str, currency: str, part: str) -> None:
    with pytest.raises(CallError, match=part) as caught:
        money.parse_amount(text, currency)
    assert caught.value.field == "amount"


def test_a_known_decimal_mark_decides() -> None:
    assert money.parse_amount("1.234", "EUR", ",") == 1234
    assert money.parse_amount("12,5", "EUR", ",") == Decimal("12.5")
    with pytest.raises(CallError, match="threes"):
        money.parse_amount("12,5", "EUR", ".")


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("12,50", ","),
        ("12.5", "."),
        ("1.234,56", ","),
        ("1,234.56", "."),
        ("1,234,567.8", "."),
        ("-12,50", ","),
        ("12", None),
        ("1,234", None),
        ("1.234", None),
        ("1,234,567", None),
        ("hello", None),
        ("", None),
    ],
)
def test_the_decimal_mark_is_seen_only_where_it_is_certain(text: str, mark: str | None) -> None:
    assert money.decimal_mark_of(text) == mark


def test_currencies_are_those_of_today() -> None:
    assert {"GBP", "EUR", "USD", "JPY", "KWD", "MYR"} <= money.currencies()
    assert money.check_currency(" gbp ") == "GBP"
    for wrong in ("DEM", "XXX", "pound", "", "G1P"):
        with pytest.raises(CallError, match="is not a currency"):
            money.check_currency(wrong)
    codes = [code for code, _ in money.currency_choices()]
    assert codes[0] == "GBP"
    assert len(codes) == len(set(codes)) == len(money.currencies())


@pytest.mark.parametrize(("text", "value"), [("0.8532", "0.8532"), ("1,17", "1.17"), ("153", "153"), (".5", "0.5")])
def test_rates_are_read(text: str, value: str) -> None:
    assert money.parse_rate(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "0", "-1", "NaN", "1.23.4", "1e3", "99999999", "0.12345678901"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(CallError) as caught:
        money.parse_rate(text)
    assert caught.value.field == "fx_rate"


def test_conversion_rounds_half_to_even_in_the_base_currency() -> None:
    assert money.to_base(Decimal("10.00"), Decimal("0.85325"), "GBP") == Decimal("8.53")
    assert money.to_base(Decimal("0.50"), Decimal("0.01"), "GBP") == Decimal("0.00")
    assert money.to_base(Decimal("1.50"), Decimal(1), "JPY") == 2
    with pytest.raises(CallError, match="too large"):
        money.to_base(Decimal(999999999999), Decimal(1000), "GBP")


def test_tax_has_the_sign_of_its_amount_and_is_never_more() -> None:
    assert money.parse_tax("2.00", "GBP", Decimal("-12.00")) == Decimal("-2.00")
    assert money.parse_tax("0.00", "GBP", Decimal("12.00")) == 0
    assert money.parse_tax(" ", "GBP", Decimal("12.00")) is None
    for wrong in ("12.01", "x", "1.234"):
        with pytest.raises(CallError) as caught:
            money.parse_tax(wrong, "GBP", Decimal("12.00"))
        assert caught.value.field == "tax_amount"
