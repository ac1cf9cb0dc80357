from datetime import date
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from strongroom.platform.portal.expenses import listing
from strongroom.tenant_schema.queries.filters import SHOWN_STATES, ExpenseFilter, conditions, escape_like, shape_of

ME = ExpenseFilter(UUID(int=1), "own")
IDS = st.lists(st.uuids(), unique=True, max_size=4).map(tuple)
BOUNDS = st.none() | st.decimals(0, 10**9, places=2, allow_nan=False)
DAYS = st.none() | st.dates(date(2000, 1, 1), date(2040, 1, 1))


FILTERS = st.builds(
    ExpenseFilter,
    st.just(ME.viewer),
    st.just(ME.reach),
    text=st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30),
    categories=IDS,
    states=st.sets(st.sampled_from(SHOWN_STATES)).map(lambda some: tuple(one for one in SHOWN_STATES if one in some)),
    members=IDS,
    since=DAYS,
    until=DAYS,
    least=BOUNDS,
    most=BOUNDS,
)


@given(FILTERS)
def test_a_filter_comes_back_from_its_own_address(chosen: ExpenseFilter) -> None:
    read, errors = listing.read(MultiDict(listing.write(chosen)), ME)
    assert not errors
    assert read == chosen


def test_the_address_cannot_change_who_looks() -> None:
    read, _ = listing.read(MultiDict([("viewer", str(UUID(int=9))), ("reach", "all")]), ME)
    assert (read.viewer, read.reach) == (ME.viewer, "own")


def test_an_unknown_reach_reaches_nothing() -> None:
    for reach in ("none", "", "everything", "ALL"):
        assert "false" in str(conditions(shape_of(ExpenseFilter(ME.viewer, reach)))), reach


def test_every_statement_carries_the_viewers_reach() -> None:
    assert "expense.member_id = :viewer" in str(conditions(shape_of(ME)))
    assert "approver_id = :viewer" in str(conditions(shape_of(ExpenseFilter(ME.viewer, "assigned"))))


def test_cursors_come_back_and_nonsense_begins_at_the_first_page() -> None:
    cursor = listing.read_cursor({"before": f"2024-03-12_{UUID(int=5)}"})
    assert cursor is not None
    assert (cursor.spent_on, cursor.id, cursor.backwards) == (date(2024, 3, 12), UUID(int=5), True)
    assert listing.read_cursor({"after": "2024-03-12_x"}) is None
    assert listing.read_cursor({}) is None


def test_signs_of_patterns_are_escaped() -> None:
    assert escape_like(r"100%_\ ") == r"100\%\_\\ "


def test_chips_name_what_is_filtered_and_lead_to_the_list_without_it() -> None:
    other = UUID(int=7)
    chosen = ExpenseFilter(
        ME.viewer, "own", "taxi", (other,), ("draft", "paid"), (), date(2024, 3, 1), None, Decimal(5)
    )
    chips = listing.chips(chosen, {other: "Travel"}, {}, "GBP")
    assert [chip.label for chip in chips] == [
        "“taxi”",
        "Draft",
        "Paid",
        "Travel",
        "From 1 Mar 2024",
        "5.00 GBP or more",
    ]
    assert chips[1].without["state"] == ["paid"]
    assert "category" not in chips[3].without
    assert "from" not in chips[4].without
