"""Money, dates and spans of time as they stand on screen."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from strongroom.platform.web import formats

NOW = datetime(2024, 3, 12, 15, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        ("1234.5", "GBP", "1,234.50"),
        ("-12.3400", "GBP", "\N{MINUS SIGN}12.34"),
        ("1234567", "JPY", "1,234,567"),
        ("1.2345", "KWD", "1.234"),
        ("0", "EUR", "0.00"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(value: str, currency: str, shown: str) -> None:
    assert formats.amount(Decimal(value), currency) == shown


def test_money_names_its_currency_and_escapes_it() -> None:
    assert "GBP" in formats.money(Decimal(1), "GBP")
    assert "–" in formats.money(None, "GBP")


def test_days_are_written_out() -> None:
    assert formats.day(date(2024, 3, 12)) == "12 Mar 2024"
    assert formats.day(None) == "–"


def test_moments_tell_the_exact_time_on_hover() -> None:
    shown = formats.moment(NOW)
    assert 'title="12 Mar 2024 15:04:05 UTC"' in shown
    assert ">12 Mar 2024<" in shown


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=5, seconds=59), "5 min ago"),
        (timedelta(hours=2, minutes=59), "2 h ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=3, hours=5), "3 days ago"),
    ],
)
def test_how_long_ago(passed: timedelta, shown: str) -> None:
    assert formats.ago(NOW - passed, NOW) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1_400_000, "1.4 MB"), (120_000, "120 kB"), (None, "–")]
)
def test_sizes(count: int | None, shown: str) -> None:
    assert formats.size(count) == shown


def test_one_and_many() -> None:
    assert formats.plural(1, "expense") == "1 expense"
    assert formats.plural(1204, "expense") == "1,204 expenses"
    assert formats.plural(2, "person", "people") == "2 people"


@pytest.mark.parametrize(
    ("name", "shown"), [("Olga Brandt", "OB"), ("ada", "A"), ("Jean van Dam", "JD"), ("42", "?"), ("", "?")]
)
def test_initials(name: str, shown: str) -> None:
    assert formats.initials(name) == shown


def test_attributes_leave_out_what_is_false() -> None:
    shown = formats.attributes({"autofocus": True, "readonly": False, "list": None, "title": '"><script>'})
    assert shown == ' autofocus title="&#34;&gt;&lt;script&gt;"'
