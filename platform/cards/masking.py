"""Card numbers in free text are masked before they are stored. Pure.

A card number is 13 to 19 digits of any script, with a gap between groups or not, whose check digit is right (the Luhn
formula, ISO/IEC 7812-1 annex B) and whose first digits belong to an issuer that makes numbers of that length. Between
groups as they are on a card there may be one mark, a comma too, with space around it; amounts do not come so. What is
an IBAN by its own check digits (ISO 13616), has the form of a UUID (RFC 9562) or begins with a plus sign as telephone
numbers do is none, whatever digits are in it.
"""

import re
import unicodedata
from typing import Final

SHORTEST: Final = 13
LONGEST: Final = 19
DOTS: Final = "••••"  # instead of all digits but the last four
_DASHES: Final = "\N{SOFT HYPHEN}\N{MINUS SIGN}\N{HYPHEN}-\N{HORIZONTAL BAR}\N{FULLWIDTH HYPHEN-MINUS}"
_UNSEEN: Final = "\N{ZERO WIDTH SPACE}-\N{RIGHT-TO-LEFT MARK}\N{WORD JOINER}\N{ZERO WIDTH NO-BREAK SPACE}"
_GAP: Final = rf"[\s._/·{_UNSEEN}{_DASHES}-]"
_UUID: Final = r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])"
_IBAN: Final = r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?(?![0-9A-Za-z])"
_RUN: Final = re.compile(rf"(?P<id>{_UUID}|{_IBAN})|\d(?:{_GAP}{{0,2}}\d){{{SHORTEST - 1},}}")
# As on a card, with one mark between all groups: 4-4-4-4, 4-4-4-4-3, 4-6-5 or 4-6-4. The rest of a UUID is no end.
_SPACE: Final = rf"[\s{_UNSEEN}]{{0,3}}"
_SAME: Final = rf"{_SPACE}(?P=mark){_SPACE}"
_ON_A_CARD: Final = re.compile(
    rf"(?<!\d)\d{{4}}{_SPACE}(?P<mark>[,;:|._/·{_DASHES}-]){_SPACE}"
    rf"(?:\d{{4}}(?:{_SAME}\d{{4}}){{2}}(?:{_SAME}\d{{3}}(?!\d))?|\d{{6}}{_SAME}\d{{4,5}})(?![0-9A-Fa-f]{{8}})(?!\d)"
)
_FOUR_BEFORE: Final = re.compile(rf"(?<!\d)\d{{4}}{_SPACE}(.){_SPACE}\Z")
_FOUR_AFTER: Final = re.compile(rf"{_SPACE}(.){_SPACE}\d{{4}}(?!\d)")
_LONGEST_PHONE: Final = 15  # digits behind the plus sign, by ITU-T E.164
_GROUP: Final = re.compile(r"\d+")

# First digits from … to, and the lengths that go with them: the issuers' own lists, as of 2024.
_ISSUERS: Final = (
    ("1", "1", (15,)),  # UATP, for travel
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("2221", "2720", (16,)),  # Mastercard
    ("300", "305", (14, 16, 17, 18, 19)),  # Diners Club
    ("3095", "3095", (14, 16, 17, 18, 19)),
    ("34", "34", (15,)),  # American Express
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("36", "36", (14, 15, 16, 17, 18, 19)),  # Diners Club
    ("37", "37", (15,)),  # American Express
    ("38", "39", (14, 16, 17, 18, 19)),  # Diners Club
    ("4", "4", (13, 16, 18, 19)),  # Visa
    ("50", "50", (13, 14, 15, 16, 17, 18, 19)),  # Maestro, Verve, Dankort, RuPay
    ("51", "55", (16,)),  # Mastercard
    ("56", "59", (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("60", "69", (13, 14, 15, 16, 17, 18, 19)),  # Discover, UnionPay, Maestro, RuPay
    ("81", "82", (16, 17, 18, 19)),  # UnionPay, RuPay
    ("8600", "8600", (16,)),  # Uzcard
    ("9792", "9792", (16,)),  # Troy
    ("9860", "9860", (16,)),  # Humo
)


def mask(text: str) -> str:
    """`text` with each card number replaced by `•••• 1234`, its last four digits, as a receipt would print it."""
    out, done = "", 0
    for match in _ON_A_CARD.finditer(text):
        digits = _ascii(re.sub(r"\D", "", match.group()))
        if is_card_number(digits) and not _is_phone(match, digits) and not _is_in_list(match):
            out += _RUN.sub(_mask_run, text[done : match.start()]) + f"{DOTS} {digits[-4:]}"
            done = match.end()
    return out + _RUN.sub(_mask_run, text[done:])


def is_card_number(digits: str) -> bool:
    """Whether `digits`, ASCII only, have an issuer's first digits and length, and the right check digit."""
    return _is_plausible(digits) and luhn_valid(digits)


def luhn_valid(digits: str) -> bool:
    """Whether the last of `digits` is the Luhn check digit of those before it."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_plausible(digits: str) -> bool:
    return any(first <= digits[: len(first)] <= last and len(digits) in lengths for first, last, lengths in _ISSUERS)


def _is_phone(match: re.Match[str], digits: str) -> bool:
    return match.string[: match.start()].endswith("+") and len(digits) <= _LONGEST_PHONE


def _is_in_list(match: re.Match[str]) -> bool:
    """Whether one more number of four digits stands before or after, with the same mark: then all are a list."""
    before = _FOUR_BEFORE.search(match.string, max(0, match.start() - 12), match.start())
    after = _FOUR_AFTER.match(match.string, match.end())
    return any(found and found[1] == match["mark"] for found in (before, after))


def _mask_run(match: re.Match[str]) -> str:
    """Mask every card number in one run of digits and gaps. It begins and ends where a group of digits does."""
    run = match.group()
    if match["id"] and ("-" in run[:9] or _is_iban(run)):
        return run
    if _is_phone(match, re.sub(r"\D", "", run)):
        return run
    groups = [(m.start(), m.end(), _ascii(m.group())) for m in _GROUP.finditer(run)]
    out, done, first = "", 0, 0
    while first < len(groups):
        last = _card_from(groups, first)
        if last is None:
            first += 1
            continue
        digits = "".join(group[2] for group in groups[first : last + 1])
        out += run[done : groups[first][0]] + f"{DOTS} {digits[-4:]}"
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
        if len(digits) >= SHORTEST and is_card_number(digits):
            found = index
    return found


def _is_iban(text: str) -> bool:
    """Whether the check digits are an IBAN's: the rest of a division by 97 is 1."""
    letters = text.replace(" ", "")
    return int("".join(str(int(char, 36)) for char in letters[4:] + letters[:4])) % 97 == 1


def _ascii(digits: str) -> str:
    """Digits of any script as 0–9."""
    return "".join(str(unicodedata.digit(digit)) for digit in digits)
