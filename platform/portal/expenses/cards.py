"""Card numbers in free text are masked before they are stored. Pure.

A card number is 13 to 19 digits (ISO/IEC 7812) whose check digit is right (the Luhn formula, its Annex B).
"""

import re
import unicodedata
from typing import Final

SHORTEST: Final = 13
LONGEST: Final = 19
_GAP: Final = "[\\s._/·\N{SOFT HYPHEN}\N{MINUS SIGN}\N{HYPHEN}-\N{HORIZONTAL BAR}-]"
_RUN: Final = re.compile(rf"\d(?:{_GAP}{{0,2}}\d){{{SHORTEST - 1},}}")
_GROUP: Final = re.compile(r"\d+")


def mask_card_numbers(text: str) -> str:
    """`text` with each card number replaced by `•••• 1234`, its last four digits, as a receipt would print it."""
    return _RUN.sub(lambda match: _mask_run(match.group()), text)


def is_card_number(digits: str) -> bool:
    """Whether `digits`, ASCII only, have a card number's length and check digit."""
    return SHORTEST <= len(digits) <= LONGEST and luhn_valid(digits)


def luhn_valid(digits: str) -> bool:
    """Whether the last of `digits` is the Luhn check digit of those before it."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _mask_run(run: str) -> str:
    """Mask every card number in one run of digits and gaps. It begins and ends where a group of digits does."""
    groups = [(m.start(), m.end(), _ascii(m.group())) for m in _GROUP.finditer(run)]
    out, done, first = "", 0, 0
    while first < len(groups):
        last = _card_from(groups, first)
        if last is None:
            first += 1
            continue
        digits = "".join(group[2] for group in groups[first : last + 1])
        out += run[done : groups[first][0]] + f"•••• {digits[-4:]}"
        done, first = groups[last][1], last + 1
    return out + run[done:]


def _card_from(groups: list[tuple[int, int, str]], first: int) -> int | None:
    """Index of the group that ends the longest card number beginning with group `first`."""
    found: int | None = None
    digits = ""
    for index in range(first, len(groups)):
        digits += groups[index][2]
        if len(digits) > LONGEST:
            break
        if is_card_number(digits):
            found = index
    return found


def _ascii(digits: str) -> str:
    """Digits of any script as 0–9."""
    return "".join(str(unicodedata.digit(digit)) for digit in digits)
