from datetime import date

import pytest

from strongroom.config.errors import CallError
from strongroom.platform.portal.expenses.dates import parse_date

TODAY = date(2025, 6, 15)


@pytest.mark.parametrize(
    "text", ["12/03/2024", "2024-03-12", "12.03.2024", "12-3-2024", " 2024/03/12 ", "2024-03-12T00:00:00"]
)
def test_dates_in_digits_are_read_day_first(text: str) -> None:
    assert parse_date(text, TODAY) == date(2024, 3, 12)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "Enter the date"),
        ("yesterday", "in digits"),
        ("12 March 2024", "in digits"),
        ("12 Mar 2024", "in digits"),
        ("March the twelfth", "in digits"),
        ("１２/０３/２０２４", "in digits"),
        ("12/03/24", "four digits"),
        ("03/25/2024", "There is no month 25; write the day first, as in 25/03/2024"),
        ("31/02/2024", "There is no 31/02/2024"),
        ("00/01/2024", "There is no"),
        ("2024-13-40", "There is no"),
        ("12/03/1999", "too long ago"),
        ("17/07/2025", "in the future"),
        ("12/03/9999", "in the future"),
    ],
)
def test_what_is_no_date_is_refused_with_a_sentence(text: str, part: str) -> None:
    with pytest.raises(CallError, match=part) as caught:
        parse_date(text, TODAY)
    assert caught.value.field == "spent_on"


def test_a_fare_for_next_month_is_accepted() -> None:
    assert parse_date("16/07/2025", TODAY) == date(2025, 7, 16)
