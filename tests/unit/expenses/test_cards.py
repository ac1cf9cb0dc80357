import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.platform.portal.expenses.cards import luhn_valid, mask_card_numbers

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
    ],
)
def test_card_numbers_are_masked(text: str, masked: str) -> None:
    assert mask_card_numbers(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "Invoice 20240312-0001",
        "+44 20 7946 0000",
        "411111111111",
        "table 4, 12/03/2024 12:30, 45.60",
        "41111111111111110000000000",
        "",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask_card_numbers(text) == text


@given(st.text(alphabet="0123456789", min_size=12, max_size=18), st.sampled_from(["", " ", "-"]))
def test_every_number_with_a_right_check_digit_is_masked(body: str, gap: str) -> None:
    check = next(d for d in "0123456789" if luhn_valid(body + d))
    number = body + check
    written = gap.join(number[i : i + 4] for i in range(0, len(number), 4))
    assert mask_card_numbers(f"note {written} end") == f"note •••• {number[-4:]} end"
