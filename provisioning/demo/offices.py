"""The offices of the disbursements as a list for `tenant create --from`: one workspace each, with its spending."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from ...config.errors import CallError, FailedError
from ...platform.tenants.slugs import RESERVED
from .people import people
from .source import Office, read_all_offices
from .spending import expenses_of
from .workspace import BASE_CURRENCY

LIST = "offices.csv"
SPENDING = "spending"
_NOTICE = "Merchant and date are generated; the amounts of a quarter add up to what the office spent."
_LONGEST_SLUG = 40
_SMALL = {"Of", "The", "On", "And", "For", "From"}


def write_offices(data: Path, folder: Path, most: int) -> tuple[int, int]:
    """Write the list and one file of expenses for each of the `most` offices that moved the most money.

    Returns how many offices and expenses were written. Raises `FailedError` for data that cannot be read and a folder
    that cannot be written, `CallError` when there are no offices.
    """
    try:
        offices = _biggest(read_all_offices(data / "disbursements"), most)
    except (OSError, ValueError, KeyError, ArithmeticError) as error:
        raise FailedError(f"The disbursements in {data} cannot be read: {error}.") from error
    if not offices:
        raise CallError(f"There are no offices in {data}.")
    try:
        (folder / SPENDING).mkdir(parents=True, exist_ok=True)
        expenses = sum(_write_spending(folder / SPENDING / f"{office.slug}.csv", office) for office in offices)
        _write(folder / LIST, ("slug", "name", "owner", "plan", "currency", "expenses"), map(_line, offices))
    except OSError as error:
        raise FailedError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    return len(offices), expenses


def named(organizations: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Slug and readable name of each organization as the source spells it, the slugs all different."""
    taken: Counter[str] = Counter()
    found: dict[str, tuple[str, str]] = {}
    for organization in organizations:
        slug = _slug(organization)
        taken[slug] += 1
        if taken[slug] > 1:
            slug = f"{slug[: _LONGEST_SLUG - 3].rstrip('-')}-{taken[slug]}"
        found[organization] = slug, _name(organization)
    return found


def _biggest(spending: dict[str, dict[tuple[str, int], Decimal]], most: int) -> list[Office]:
    def moved(organization: str) -> Decimal:
        return sum((abs(amount) for amount in spending[organization].values()), Decimal(0))

    chosen = sorted((one for one in spending if moved(one)), key=lambda one: (-moved(one), one))[:most]
    return [Office(slug, name, spending[one]) for one, (slug, name) in named(sorted(chosen)).items()]


def _slug(organization: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", organization.lower().removeprefix("hon. ")).strip("-")
    slug = words if words[:1].isalpha() and len(words) >= 3 and words not in RESERVED else f"office-{words}"
    return slug[:_LONGEST_SLUG].rstrip("-")


def _name(organization: str) -> str:
    words = [word if word in {"US", "CAO", "CDN"} else word.capitalize() for word in organization.split()]
    return " ".join(word.lower() if word in _SMALL and number else word for number, word in enumerate(words))


def _line(office: Office) -> Sequence[str]:
    file = f"{SPENDING}/{office.slug}.csv"
    return office.slug, office.name, f"owner@{office.slug}.example", "pro", BASE_CURRENCY, file


def _write_spending(path: Path, office: Office) -> int:
    rows = [
        (item.on.isoformat(), item.merchant, str(item.amount), item.category, item.note)
        for item in expenses_of(office, people(office.slug), _NOTICE)
    ]
    _write(path, ("date", "merchant", "amount", "category", "note"), rows)
    return len(rows)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
