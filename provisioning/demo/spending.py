"""Splits the amount of a quarter and category into believable expenses that add up to it exactly. Pure, repeatable."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from .merchants import Trade, merchants_for, trade_of
from .people import Person
from .source import Office

_CENT = Decimal("0.01")
_MOST_PARTS = 30  # of one category in one quarter


@dataclass(frozen=True, slots=True)
class DemoExpense:
    """An expense to be; `member` is a position in the list of people."""

    category: str
    on: date
    merchant: str
    amount: Decimal
    member: int
    note: str


def expenses_of(office: Office, people: Sequence[Person], notice: str = "") -> Iterator[DemoExpense]:
    """The expenses of 2024; for each category and quarter they add up to the office's amount to the cent.

    `notice` goes into each note.
    """
    spenders = [position for position, person in enumerate(people) if person.role != "read_only"]
    payer = next(position for position, person in enumerate(people) if person.role == "admin")
    for (category, quarter), total in sorted(office.spending.items()):
        chance = random.Random(f"{office.slug} {category} {quarter}")  # noqa: S311 - repeatable on purpose
        trade = trade_of(category)
        payroll = trade is Trade.PAYROLL
        parts = split_evenly(total, chance) if payroll else split(total, trade.typical, chance)
        for number, part in enumerate(parts):
            yield DemoExpense(
                category=category,
                on=_pay_day(quarter, number % 3) if payroll else _working_day(quarter, chance),
                merchant=_merchant(trade, part, chance),
                amount=part,
                member=payer if payroll else chance.choice(spenders),
                note=f"Part of {category.lower()}, quarter {quarter} of 2024. {notice}".strip(),
            )


def split(total: Decimal, typical: Decimal, chance: random.Random) -> list[Decimal]:
    """Cut `total` into parts of about `typical` that add up to it; what was given back (below zero) stays one part."""
    cents = int((total / _CENT).to_integral_value())
    if cents == 0:
        return []
    if cents < 0:
        return [cents * _CENT]
    count = max(1, min(_MOST_PARTS, round(total / typical), cents))
    return [part * _CENT for part in largest_remainder(cents, [chance.lognormvariate(0, 0.6) for _ in range(count)])]


def split_evenly(total: Decimal, chance: random.Random) -> list[Decimal]:
    """Cut a quarter's payroll into two runs for each of its three months."""
    cents = int((total / _CENT).to_integral_value())
    if cents < 6:
        return [cents * _CENT] if cents else []
    return [part * _CENT for part in largest_remainder(cents, [chance.uniform(0.9, 1.1) for _ in range(6)])]


def largest_remainder(units: int, weights: Sequence[float]) -> list[int]:
    """Share out `units` in proportion to `weights`, at least one each, exactly (Hamilton's method)."""
    spare = units - len(weights)
    if spare < 0:
        raise ValueError("there are fewer units than shares")
    whole = sum(weights)
    exact = [spare * weight / whole for weight in weights]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: exact[i] - shares[i], reverse=True)
    for index in by_remainder[: spare - sum(shares)]:
        shares[index] += 1
    return [share + 1 for share in shares]


def _working_day(quarter: int, chance: random.Random) -> date:
    first = date(2024, 3 * quarter - 2, 1)
    days = (date(2025 if quarter == 4 else 2024, 1 if quarter == 4 else 3 * quarter + 1, 1) - first).days
    day = first + timedelta(chance.randrange(days))
    # Saturday and Sunday move to the Friday before, unless that lies in the quarter before.
    friday = day - timedelta(max(0, day.weekday() - 4))
    return friday if friday >= first else day + timedelta(2)


def _pay_day(quarter: int, month: int) -> date:
    """The last working day of the quarter's month 0, 1 or 2."""
    number = 3 * quarter - 2 + month
    last = date(2024 + number // 12, number % 12 + 1, 1) - timedelta(1)
    return last - timedelta(max(0, last.weekday() - 4))


def _merchant(trade: Trade, part: Decimal, chance: random.Random) -> str:
    name = chance.choice(merchants_for(trade, part))
    return f"{name} (credit)" if part < 0 else name
