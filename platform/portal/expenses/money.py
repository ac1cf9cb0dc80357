"""Amounts and exchange rates as people type them. Pure.

Digits after the decimal mark and the list of currencies come from the Unicode CLDR through Babel.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final, Literal

from babel.core import get_global
from babel.numbers import get_currency_name, get_currency_precision

from ....config.errors import CallError

DecimalMark = Literal[".", ","]
LARGEST: Final = Decimal(10) ** 12  # of any currency; NUMERIC(19,4) holds a thousand times more
LARGEST_RATE: Final = Decimal(10) ** 7
SMALLEST_RATE: Final = Decimal("0.00000001")
RATE_DIGITS: Final = 10
COMMON: Final = ("GBP", "EUR", "USD", "CHF", "SEK", "NOK", "DKK", "PLN", "CAD", "AUD", "JPY", "INR")

_MINUS: Final = "-\N{MINUS SIGN}\N{EN DASH}\N{FIGURE DASH}"
_SPACE: Final = re.compile("[\\s'\N{RIGHT SINGLE QUOTATION MARK}]")  # what people group thousands with
_SHAPE: Final = re.compile(r"[0-9][0-9.,]*|[.,][0-9]+", re.ASCII)
_GROUPED: Final = {mark: re.compile(rf"[0-9]{{1,3}}(?:{re.escape(mark)}[0-9]{{3}})+", re.ASCII) for mark in ".,"}


@lru_cache(maxsize=1)
def currencies() -> frozenset[str]:
    """Codes of the currencies that are legal tender somewhere today."""
    uses = (use for of_territory in get_global("territory_currencies").values() for use in of_territory)
    return frozenset(code for code, _since, until, tender in uses if tender and until is None)


@lru_cache(maxsize=1)
def currency_choices() -> tuple[tuple[str, str], ...]:
    """Code and English name for a select field: the common ones first, then all others by code."""
    codes = [*COMMON, *sorted(currencies() - set(COMMON))]
    return tuple((code, get_currency_name(code, locale="en_GB")) for code in codes)


def check_currency(text: str) -> str:
    """The three-letter code in capitals. Raises `CallError` for what is no currency of today."""
    code = text.strip().upper()
    if code not in currencies():
        raise CallError(f"“{text.strip()[:20]}” is not a currency; write its three letters, such as GBP.", "currency")
    return code


def digits_of(currency: str) -> int:
    """Digits after the decimal mark: 2 for GBP, 0 for JPY, 3 for KWD."""
    return get_currency_precision(currency)


def parse_amount(text: str, currency: str, mark: DecimalMark | None = None) -> Decimal:
    """The amount in `text`, negative for a minus, never zero, with at most the digits that `currency` has.

    `mark` says which decimal mark the text uses; without it, `1,234.56`, `1.234,56`, `1 234,56` and `12,5` are all
    understood, and `1,234` is read as British grouping. Raises `CallError` with the field `amount`.
    """
    negative, body = _split_sign(text)
    digits = digits_of(currency)
    number = Decimal(_plain(body, mark or _mark_of(body, digits)))
    if number >= LARGEST:  # before it is rounded: that fails where the result has more than 28 digits
        raise _wrong("This amount is too large; check the decimal point.")
    if number != round(number, digits):
        raise _wrong(_digits_sentence(currency, digits))
    if number == 0:
        raise _wrong("The amount must not be zero.")
    return -number if negative else number


def parse_tax(text: str, currency: str, amount: Decimal, mark: DecimalMark | None = None) -> Decimal | None:
    """The tax contained in `amount`, with the amount's sign; None when nothing is typed, zero allowed."""
    if not text.strip():
        return None
    try:
        tax = Decimal(0) if re.fullmatch(r"0+(?:[.,]0*)?", text.strip()) else abs(parse_amount(text, currency, mark))
    except CallError as error:
        raise CallError(str(error).replace("amount", "tax"), "tax_amount") from error
    if tax > abs(amount):
        raise CallError("The tax is more than the amount it is part of.", "tax_amount")
    return tax.copy_sign(amount) if tax else tax


def parse_rate(text: str) -> Decimal:
    """How many units of the workspace's currency one unit of the expense's currency is worth.

    Raises `CallError` with the field `fx_rate`.
    """
    body = _SPACE.sub("", text).replace(",", ".")
    if not re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,20})?|\.[0-9]{1,20}", body, re.ASCII):
        raise CallError("Write the exchange rate as a number, such as 0.8532.", "fx_rate")
    rate = Decimal(body)
    if rate != round(rate, RATE_DIGITS):
        raise CallError(f"An exchange rate has at most {RATE_DIGITS} decimal places.", "fx_rate")
    if not SMALLEST_RATE <= rate <= LARGEST_RATE:
        raise CallError("This exchange rate cannot be right; check it.", "fx_rate")
    return rate


def to_base(amount: Decimal, rate: Decimal, base_currency: str) -> Decimal:
    """`amount` in the workspace's currency, rounded half to even. Raises `CallError` if it is absurdly large."""
    base = (amount * rate).quantize(Decimal(1).scaleb(-digits_of(base_currency)), ROUND_HALF_EVEN)
    if abs(base) >= LARGEST:
        raise CallError("With this exchange rate the amount is too large; check both.", "fx_rate")
    return base


def decimal_mark_of(text: str) -> DecimalMark | None:
    """The decimal mark that `text` shows beyond doubt; None for `12`, `1,234`, `1.234` and for what is no amount."""
    body = _split_sign_only(_SPACE.sub("", text))[1]
    if not _SHAPE.fullmatch(body) or not (set(body) & {".", ","}):
        return None
    last: DecimalMark = "," if body.rfind(",") > body.rfind(".") else "."
    other = "." if last == "," else ","
    if other in body:
        return last if body.count(last) == 1 else other if body.count(other) == 1 else None
    if body.count(last) > 1 or _GROUPED[last].fullmatch(body):
        return None
    return last


def _split_sign(text: str) -> tuple[bool, str]:
    body = _SPACE.sub("", text)
    if not body:
        raise _wrong("Enter the amount.")
    negative, body = _split_sign_only(body)
    if not _SHAPE.fullmatch(body) or len(body) > 40:
        raise _wrong("Write the amount in digits, such as 12.50.")
    return negative, body


def _split_sign_only(body: str) -> tuple[bool, str]:
    if body[:1] and body[0] in _MINUS:
        return True, body[1:]
    return False, body.removeprefix("+")


def _mark_of(body: str, digits: int) -> DecimalMark:
    certain = decimal_mark_of(body)
    if certain:
        return certain
    if digits == 3 and body.count(",") == 1 and "." not in body:
        raise _wrong("It is not clear whether the comma is a decimal mark; write 1.234 or 1234.")
    return "." if "." not in body or body.count(".") == 1 else ","


def _plain(body: str, mark: DecimalMark) -> str:
    """Digits and a point only. Raises `CallError` where the grouping is not in threes."""
    grouping = "," if mark == "." else "."
    whole, _, fraction = body.partition(mark)
    if grouping in whole and not _GROUPED[grouping].fullmatch(whole):
        raise _wrong("The thousands in this amount are not grouped in threes; check it.")
    if grouping in fraction or mark in fraction:
        raise _wrong("Write the amount in digits, such as 12.50.")
    return f"{whole.replace(grouping, '') or '0'}.{fraction or '0'}"


def _digits_sentence(currency: str, digits: int) -> str:
    if digits == 0:
        return f"Amounts in {currency} have no decimal places."
    return f"Amounts in {currency} have at most {digits} decimal places."


def _wrong(sentence: str) -> CallError:
    return CallError(sentence, "amount")
