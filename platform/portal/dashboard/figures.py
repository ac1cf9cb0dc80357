"""What the dashboard counts, and the data of its charts. Pure but for the queries it asks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection

from ....tenant_schema.queries import totals
from ....tenant_schema.queries.filters import ExpenseFilter
from ....tenant_schema.queries.totals import CategoryTotal, MonthTotal, Standing
from ...web.formats import MONTHS

MONTHS_SHOWN: Final = 12
CATEGORIES_SHOWN: Final = 7


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart, one row of its table: a label, its sum, and the filter of the list that it opens."""

    label: str
    count: int
    amount: Decimal
    opens: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Period:
    """Whole months, from the first day of one to the last day of another."""

    since: date
    until: date

    @property
    def label(self) -> str:
        """As in `Jan – Dec 2024`."""
        first, last = self.since, self.until
        year = "" if first.year == last.year else f" {first.year}"
        return f"{MONTHS[first.month - 1]}{year} – {MONTHS[last.month - 1]} {last.year}"


def period(today: date, latest: date | None) -> Period:
    """The twelve months that end with this one, or with the latest that has any spend if that was long ago."""
    end = latest if latest and months_between(latest, today) >= MONTHS_SHOWN else today
    return Period(shifted(end, 1 - MONTHS_SHOWN), last_day(end))


def spend(conn: Connection, viewer: ExpenseFilter, shown: Period) -> tuple[list[Bar], list[Bar]]:
    """Spend by month and by category in `shown`, over everything that `viewer` reaches."""
    chosen = replace(viewer, since=shown.since, until=shown.until)
    return month_bars(shown, totals.by_month(conn, chosen)), category_bars(shown, totals.by_category(conn, chosen))


def month_bars(shown: Period, found: Sequence[MonthTotal]) -> list[Bar]:
    """A bar for every month of the period, also for those without any spend."""
    by_month = {one.month: one for one in found}
    bars: list[Bar] = []
    for number in range(MONTHS_SHOWN):
        first = shifted(shown.since, number)
        one = by_month.get(first, MonthTotal(first, 0, Decimal(0)))
        opens = {"from": first.isoformat(), "to": last_day(first).isoformat()}
        bars.append(Bar(f"{MONTHS[first.month - 1]} {first.year}", one.count, one.amount, opens))
    return bars


def category_bars(shown: Period, found: Sequence[CategoryTotal]) -> list[Bar]:
    """A bar for each of the largest categories, and one for all the rest together."""
    dates = {"from": shown.since.isoformat(), "to": shown.until.isoformat()}
    many = len(found) > CATEGORIES_SHOWN + 1
    cut = CATEGORIES_SHOWN if many else len(found)
    large, rest = found[:cut], found[cut:]
    bars = [Bar(one.name, one.count, one.amount, {"category": [str(one.id)], **dates}) for one in large]
    if rest:
        opens = {"category": [str(one.id) for one in rest], **dates}
        amount = sum((one.amount for one in rest), Decimal(0))
        bars.append(Bar(f"{len(rest)} others", sum(one.count for one in rest), amount, opens))
    return bars


def together(standing: dict[str, Standing], *states: str) -> Standing:
    """Count and sum over several states."""
    found = [standing[state] for state in states if state in standing]
    return Standing(states[0], sum(one.count for one in found), sum((one.amount for one in found), Decimal(0)))


def shifted(day: date, months: int) -> date:
    """The first day of the month that is `months` after that of `day`."""
    number = day.year * 12 + day.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def last_day(day: date) -> date:
    """The last day of the month of `day`."""
    return date.fromordinal(shifted(day, 1).toordinal() - 1)


def months_between(earlier: date, later: date) -> int:
    """Whole months from the month of `earlier` to that of `later`."""
    return (later.year - earlier.year) * 12 + later.month - earlier.month
