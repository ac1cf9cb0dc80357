from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.platform.cards.masking import luhn_valid, mask

VISA = "4111111111111111"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (VISA, "•••• 1111"),
        ("paid with 4111 1111 1111 1111 today", "paid with •••• 1111 today"),
        ("4111-1111-1111-1111", "•••• 1111"),
        ("4111.1111.1111.1111", "•••• 1111"),
        ("4111\N{NO-BREAK SPACE}1111\N{EN DASH}1111 1111", "•••• 1111"),
        ("card 4111 1111 1111 1111 12 2026", "card •••• 1111 12 2026"),
        ("12 4111111111111111", "12 •••• 1111"),
        ("378282246310005", "•••• 0005"),
        ("3782 822463 10005", "•••• 0005"),
        ("30569309025904", "•••• 5904"),
        ("6304000000000000000 and 5555555555554444", "•••• 0000 and •••• 4444"),
        ("４１１１１１１１１１１１１１１１", "•••• 1111"),
        (f"{VISA} {VISA}", "•••• 1111 •••• 1111"),
        ("no4111111111111111x", "no•••• 1111x"),
        ("4111,1111,1111,1111", "•••• 1111"),
        ("4111:1111:1111:1111", "•••• 1111"),
        ("4111;1111;1111;1111", "•••• 1111"),
        ("4111|1111|1111|1111|12|26|123", "•••• 1111|12|26|123"),
        ("Visa 4111 - 1111 - 1111 - 1111, 12,50", "Visa •••• 1111, 12,50"),
        ("4111 \N{EN DASH} 1111 \N{EN DASH} 1111 \N{EN DASH} 1111", "•••• 1111"),
        ("4111 \N{EM DASH} 1111 \N{EM DASH} 1111 \N{EM DASH} 1111", "•••• 1111"),
        ("4111, 1111, 1111, 1111 and 5555555555554444", "•••• 1111 and •••• 4444"),
        ("1234567890123 4111,1111,1111,1111", "1234567890123 •••• 1111"),
        ("6304,0000,0000,0000,000", "•••• 0000"),
        ("3782, 822463, 10005", "•••• 0005"),
        ("3056|930902|5904", "•••• 5904"),
        ("４１１１，１１１１，１１１１，１１１１".replace("，", ","), "•••• 1111"),
    ],
)
def test_card_numbers_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "Invoice 20240312-0001",
        "+44 20 7946 0000",
        "411111111111",
        "table 4, 12/03/2024 12:30, 45.60",
        "41111111111111110000000000",
        "GB29 NWBK 6016 1331 9268 19",
        "DE75512108001245126199",
        "FR14 2004 1010 0505 0001 3M02 606",
        "+4111 1111 111 1116",  # as long as a telephone number may be
        "7011111111111111111",  # nobody issues these
        "1700000000000007",  # microseconds since 1970
        "12,50; 4,20; 1.234,56",
        "4111, 1111, 1111, 1112",
        "4111,1111;1111,1111",
        "411,1111,1111,11111",
        "4111, 1111, 1111, 1111, 1111",  # one more of its kind: a list
        "1111; 4111; 1111; 1111; 1111",
        "+4930 - 123456 - 7891",
        "12345678-4111-1111-1111-1111ab345678",
        "",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask(text) == text


@settings(deadline=None)  # the first call may find a busy machine
@given(
    st.sampled_from(["4", "51", "2221", "34", "37", "36", "6011", "62", "3528", "50", "2200"]),
    st.text(alphabet="0123456789", min_size=15, max_size=15),
    st.sampled_from(["", " ", "-", ".", "\r\n", "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH SPACE}", " - "[:2]]),
    st.sampled_from([0, 0x660 - 0x30, 0xFF10 - 0x30]),  # ASCII, Arabic-Indic, full-width
    st.text(alphabet="abc äöü,;:()", max_size=10),
)
def test_every_number_of_an_issuer_is_masked_however_it_is_written(
    prefix: str, digits: str, gap: str, script: int, around: str
) -> None:
    length = 15 if prefix in ("34", "37") else 16
    number = with_check_digit(prefix + digits, length)
    written = gap.join(number[i : i + 4] for i in range(0, length, 4))
    foreign = "".join(chr(ord(char) + script) if char.isdigit() else char for char in written)
    assert mask(f"{around}{foreign}{around}") == f"{around}•••• {number[-4:]}{around}"


@settings(deadline=None)  # the first call may find a busy machine
@given(
    st.lists(st.decimals(min_value=0, max_value=10**9, places=2), min_size=1, max_size=12),
    st.sampled_from(["{:.2f}", "{:,.2f}"]),
    st.booleans(),
    st.sampled_from(["; ", ", ", " | ", ": ", " - ", " \N{EN DASH} ", ";", "|"]),
)
def test_lists_of_amounts_stay(amounts: list[Decimal], form: str, swapped: bool, between: str) -> None:
    """With a point or a comma before the pence, and with the other one between thousands or nothing."""
    spelled = [form.format(one) for one in amounts]
    if swapped:
        spelled = [one.translate(str.maketrans(".,", ",.")) for one in spelled]
    assert mask(between.join(spelled)) == between.join(spelled)


@settings(deadline=None)  # the first call may find a busy machine
@given(
    st.sampled_from([(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)]),
    st.text(alphabet="0123456789", min_size=18, max_size=18),
    st.sampled_from([",", ";", ":", "|", "-", "\N{EN DASH}", "\N{EM DASH}", ".", "/"]),
    st.sampled_from([("", ""), ("", " "), (" ", " "), ("  ", "  ")]),
)
def test_groups_as_on_a_card_are_masked_whatever_mark_is_between(
    groups: tuple[int, ...], digits: str, mark: str, space: tuple[str, str]
) -> None:
    number = with_check_digit(("36" if groups == (4, 6, 4) else "50") + digits, sum(groups))
    ends = [sum(groups[: i + 1]) for i in range(len(groups))]
    parts = [number[end - size : end] for end, size in zip(ends, groups, strict=True)]
    assert mask(f"{space[0]}{mark}{space[1]}".join(parts)) == f"•••• {number[-4:]}"


@settings(deadline=None)  # the first call may find a busy machine
@given(st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@settings(deadline=None)  # the first call may find a busy machine
@given(st.text(alphabet=st.characters(exclude_categories=["Nd"])))
def test_text_without_digits_stays(text: str) -> None:
    assert mask(text) == text


@settings(deadline=None)  # the first call may find a busy machine
@given(st.uuids())
def test_no_id_of_ours_is_taken_for_a_card(found: UUID) -> None:
    assert mask(str(found)) == str(found)


def test_a_long_text_of_digits_is_read_in_no_time() -> None:
    assert mask("1 " * 200_000) == "1 " * 200_000
    assert len(mask("4" * 500_000)) == 500_000


def test_a_long_list_of_groups_is_read_in_no_time() -> None:
    assert mask("4111,   " * 60_000) == "4111,   " * 60_000
    assert len(mask("4111 - 1111 -  1111 -   " * 20_000)) == 24 * 20_000


def with_check_digit(digits: str, length: int) -> str:
    """The card number of this length that begins with `digits`."""
    body = digits[: length - 1]
    return body + next(last for last in "0123456789" if luhn_valid(body + last))
