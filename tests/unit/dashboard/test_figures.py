from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from strongroom.platform.portal.dashboard import figures
from strongroom.platform.portal.dashboard.figures import Period
from strongroom.tenant_schema.queries.totals import CategoryTotal, MonthTotal, Standing

YEAR = Period(date(2024, 1, 1), date(2024, 12, 31))


@pytest.mark.parametrize(
    ("today", "latest", "since", "until"),
    [
        (date(2024, 12, 5), None, date(2024, 1, 1), date(2024, 12, 31)),
        (date(2025, 2, 28), date(2025, 1, 31), date(2024, 3, 1), date(2025, 2, 28)),
        (date(2024, 2, 1), date(2023, 3, 1), date(2023, 3, 1), date(2024, 2, 29)),
        (date(2026, 6, 1), date(2024, 12, 26), date(2024, 1, 1), date(2024, 12, 31)),
        (date(2024, 6, 1), date(2024, 7, 2), date(2023, 7, 1), date(2024, 6, 30)),
    ],
)
def test_the_period_is_twelve_whole_months(today: date, latest: date | None, since: date, until: date) -> None:
    assert figures.period(today, latest) == Period(since, until)


def test_every_month_has_a_bar_that_opens_its_days() -> None:
    bars = figures.month_bars(YEAR, [MonthTotal(date(2024, 2, 1), 3, Decimal("12.50"))])
    assert [bar.label for bar in bars][:3] == ["Jan 2024", "Feb 2024", "Mar 2024"]
    assert [bar.amount for bar in bars] == [0, Decimal("12.50"), *[0] * 10]
    assert bars[1].opens == {"from": "2024-02-01", "to": "2024-02-29"}


def test_small_categories_are_one_bar_and_no_money_is_lost() -> None:
    found = [CategoryTotal(UUID(int=n), f"C{n}", 1, Decimal(100 - n)) for n in range(10)]
    bars = figures.category_bars(YEAR, found)
    assert [bar.label for bar in bars] == [*(f"C{n}" for n in range(7)), "3 others"]
    assert sum(bar.amount for bar in bars) == sum(one.amount for one in found)
    assert bars[-1].opens["category"] == [str(UUID(int=n)) for n in (7, 8, 9)]
    assert len(figures.category_bars(YEAR, found[:8])) == 8


def test_labels_of_periods() -> None:
    assert YEAR.label == "Jan – Dec 2024"
    assert Period(date(2023, 7, 1), date(2024, 6, 30)).label == "Jul 2023 – Jun 2024"


def test_states_are_summed() -> None:
    standing = {"draft": Standing("draft", 2, Decimal(5)), "returned": Standing("returned", 1, Decimal(7))}
    assert figures.together(standing, "draft", "returned") == Standing("draft", 3, Decimal(12))
    assert figures.together(standing, "paid") == Standing("paid", 0, Decimal(0))
