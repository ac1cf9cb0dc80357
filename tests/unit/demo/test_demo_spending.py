import random
from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.platform.web.permissions import Role
from strongroom.provisioning.demo.people import people
from strongroom.provisioning.demo.source import SHIPPED, find_source, parse_printed_date, parse_printed_total
from strongroom.provisioning.demo.spending import expenses_of, largest_remainder, split

SOURCE = find_source(SHIPPED)


@pytest.mark.parametrize("office", SOURCE.offices, ids=lambda office: office.slug)
def test_expenses_add_up_exactly_by_category_and_quarter(office):
    sums = defaultdict(Decimal)
    for item in expenses_of(office, people(office.slug)):
        sums[item.category, (item.on.month + 2) // 3] += item.amount
    assert sums == {key: amount for key, amount in office.spending.items() if amount}
    assert any(amount < 0 for amount in office.spending.values()) == (office.slug == "fernhill-clinic")


def test_the_demo_is_the_same_in_every_run():
    office = SOURCE.offices[0]
    assert list(expenses_of(office, people(office.slug))) == list(expenses_of(office, people(office.slug)))


def test_each_role_has_a_member_and_each_spender_an_approver_that_is_somebody_else():
    crew = people("judiciary")
    assert {person.role for person in crew} == set(Role)
    assert {f"{role}@demo.example" for role in ("owner", "admin", "member", "contributor", "read-only")} <= {
        person.email for person in crew
    }
    assert len({person.email for person in crew}) == len(crew)
    for position, person in enumerate(crew):
        if person.role != "read_only":
            assert person.approver not in (None, position)
            assert crew[person.approver].role in {"owner", "admin", "member"}


def test_read_only_members_spend_nothing():
    crew = people("harbour-studio")
    spenders = {crew[item.member].role for item in expenses_of(SOURCE.offices[0], crew)}
    assert "read_only" not in spenders


def test_expenses_lie_on_working_days_of_their_quarter():
    for item in expenses_of(SOURCE.offices[1], people("fernhill-clinic")):
        assert item.on.year == 2024
        assert item.on.weekday() < 5


@given(st.integers(1, 10**9), st.lists(st.floats(0.01, 100), min_size=1, max_size=20))
def test_shares_add_up_and_none_is_empty(units, weights):
    if units < len(weights):
        with pytest.raises(ValueError, match="fewer units"):
            largest_remainder(units, weights)
    else:
        shares = largest_remainder(units, weights)
        assert sum(shares) == units
        assert min(shares) >= 1


@pytest.mark.parametrize(("total", "parts"), [("0.00", 0), ("-420.50", 1), ("0.01", 1), ("10000.00", 10)])
def test_amounts_are_cut_into_typical_purchases(total, parts):
    found = split(Decimal(total), Decimal(1000), random.Random(1))
    assert len(found) == parts
    assert sum(found, Decimal(0)) == Decimal(total)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("25/12/2018", date(2018, 12, 25)),
        ("5/3/2018", date(2018, 3, 5)),
        ("12-01-19", date(2019, 1, 12)),
        ("05 MAR 2018", date(2018, 3, 5)),
        ("2018-03-23", date(2018, 3, 23)),
    ],
)
def test_printed_dates_are_read_day_first(printed, expected):
    assert parse_printed_date(printed) == expected


def test_printed_totals_may_have_a_currency_sign_or_be_missing():
    assert parse_printed_total("$8.20") == Decimal("8.20")
    assert parse_printed_total("RM 60.30") == Decimal("60.30")
    assert parse_printed_total("") is None


def test_the_shipped_set_has_pictures_with_their_truth():
    assert len(SOURCE.receipts) == 4
    assert all(receipt.total and receipt.picture.stat().st_size > 10_000 for receipt in SOURCE.receipts)
