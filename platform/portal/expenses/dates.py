"""Dates as people type them, day first as in the United Kingdom. Pure."""

import re
from datetime import date, timedelta
from typing import Final

from ....config.errors import CallError

EARLIEST: Final = date(2000, 1, 1)
AHEAD: Final = timedelta(days=31)  # a fare bought today for next month is spent; next year's is not
_ISO: Final = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[T ][0-9:.]+Z?)?", re.ASCII)
_DAY_FIRST: Final = re.compile(r"([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})", re.ASCII)


def parse_date(text: str, today: date, field: str = "spent_on") -> date:
    """The day that `2024-03-12`, `12/03/2024` or `12.03.2024` names.

    Raises `CallError` for words, two-digit years, days that do not exist, before 2000, or over a month after `today`.
    """
    found = read_day(text, field)
    if found < EARLIEST:
        raise CallError(f"{_shown(found)} is too long ago; check the year.", field)
    if found > today + AHEAD:
        raise CallError(f"{_shown(found)} is in the future; check the date.", field)
    return found


def read_day(text: str, field: str) -> date:
    """The day that `text` names, whatever the year. Raises `CallError`."""
    body = text.strip()
    if not body:
        raise CallError("Enter the date.", field)
    if match := _ISO.fullmatch(body):
        year, month, day = (int(part) for part in match.groups())
    elif match := _DAY_FIRST.fullmatch(body):
        day, month, year = (int(part) for part in match.groups())
    else:
        raise CallError(_unread(body), field)
    return _existing(year, month, day, field)


def _existing(year: int, month: int, day: int, field: str) -> date:
    if month > 12 >= day:
        raise CallError(f"There is no month {month}; write the day first, as in {month:02}/{day:02}/{year}.", field)
    try:
        return date(year, month, day)
    except ValueError as error:
        raise CallError(f"There is no {day:02}/{month:02}/{year}; check the date.", field) from error


def _unread(body: str) -> str:
    if re.fullmatch(r"[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ][0-9]{2}", body, re.ASCII):
        return "Write the year with four digits, as in 12/03/2024."
    return "Write the date in digits, day first, as in 12/03/2024."


def _shown(day: date) -> str:
    return day.strftime("%d/%m/%Y")
