"""Where the demo's numbers come from: the disbursements of the U.S. House and scanned receipts, or a small shipped set.

Amounts, categories, quarters, and the receipts' merchants, dates and totals are as the source says. Everything else of
the demo is generated (`spending.py`, `people.py`) and says so on the screen.
"""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from ...config.errors import FailedError

SHIPPED = Path(__file__).parent / "data"
_YEAR = 2024
_BUDGET_YEAR = re.compile(r"^(?:20\d\d|FISCAL YEAR 20\d\d)\s+")
# Well spread: from eight million dollars a year down to two hundred thousand.
_HOUSE = {
    "agriculture": ("COMMITTEE ON AGRICULTURE", "Committee on Agriculture"),
    "speaker": ("OFFICE OF THE SPEAKER", "Office of the Speaker"),
    "majority-leader": ("OFFICE OF THE MAJORITY LEADER", "Office of the Majority Leader"),
    "minority-leader": ("OFFICE OF THE MINORITY LEADER", "Office of the Minority Leader"),
    "judiciary": ("COMMITTEE ON JUDICIARY", "Committee on Judiciary"),
    "ways-and-means": ("COMMITTEE ON WAYS AND MEANS", "Committee on Ways and Means"),
    "armed-services": ("ARMED SERVICES COMMITTEE", "Armed Services Committee"),
    "natural-resources": ("COMMITTEE ON NATURAL RESOURCES", "Committee on Natural Resources"),
    "small-business": ("COMMITTEE ON SMALL BUSINESS", "Committee on Small Business"),
    "ethics": ("COMMITTEE ON ETHICS", "Committee on Ethics"),
    "western-caucus": ("CONGRESSIONAL WESTERN CAUCUS", "Congressional Western Caucus"),
    "sustainable-energy": (
        "SUSTAINABLE ENERGY & ENVIRONMENT",
        "Sustainable Energy and Environment Coalition",
    ),
}
_SHIPPED_OFFICES = {
    "harbour-studio": ("HARBOUR STUDIO", "Harbour Studio"),
    "fernhill-clinic": ("FERNHILL CLINIC", "Fernhill Clinic"),
    "northway-college": ("NORTHWAY COLLEGE", "Northway College"),
}

_REAL_WORDS = {
    "origin": "the U.S. House Statement of Disbursements 2024 and the ICDAR 2019 SROIE receipts",
    "notice": "Members, merchants and dates of this demo are generated; the amounts add up to real ones.",
    "receipt_notice": "A real receipt: merchant, date and total are as printed on it; the member is generated.",
}
_SHIPPED_WORDS = {
    "origin": "the small set that the project ships",
    "notice": "All of this demo is generated: members, merchants, dates and amounts.",
    "receipt_notice": "This receipt is generated.",
}

Spending = Mapping[tuple[str, int], Decimal]


@dataclass(frozen=True, slots=True)
class Office:
    """One account to be: `spending` is the amount in USD by category and quarter (1–4) of 2024, negatives included."""

    slug: str
    name: str
    spending: Spending


@dataclass(frozen=True, slots=True)
class ScannedReceipt:
    """A receipt picture and what is printed on it; `total` is `None` where the source does not know it."""

    picture: Path
    merchant: str
    on: date
    total: Decimal | None


@dataclass(frozen=True, slots=True)
class Source:
    """All that the demo is made of. `receipts` go to the first office; their currency is `receipt_currency`.

    `notice` and `receipt_notice` say to whoever looks at an expense or a receipt what of it is real.
    """

    offices: list[Office]
    receipts: list[ScannedReceipt]
    receipt_currency: str
    origin: str
    notice: str
    receipt_notice: str


def find_source(folder: Path | None = None) -> Source:
    """Read the data in `folder` (default: `../shared/data` beside this project, else what the project ships).

    Raises `FailedError` when a file is not as expected.
    """
    folder = folder or find_folder()
    shipped = folder == SHIPPED
    try:
        return Source(
            offices=read_offices(folder / "disbursements", _SHIPPED_OFFICES if shipped else _HOUSE),
            receipts=read_receipts(folder / "receipts"),
            receipt_currency="EUR" if shipped else "MYR",
            **(_SHIPPED_WORDS if shipped else _REAL_WORDS),
        )
    except (OSError, ValueError, KeyError, ArithmeticError) as error:
        raise FailedError(f"The demo data in {folder} cannot be read: {error}.") from error


def find_folder() -> Path:
    """Where the source data lie: `../shared/data` beside this project, else what the project ships."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    return beside if (beside / "disbursements").is_dir() else SHIPPED


def read_all_offices(folder: Path) -> dict[str, dict[tuple[str, int], Decimal]]:
    """What every organization of the quarterly files spent, by category and quarter, under its name without a year.

    An office stands in several years' budgets in the same quarter; here it is one.
    """
    amounts: dict[str, dict[tuple[str, int], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for quarter in range(1, 5):
        for row in _rows(folder / f"{_YEAR}Q{quarter}-summary.csv"):
            if row["qtd_amount"]:
                organization = _BUDGET_YEAR.sub("", row["organization"]).strip()
                amounts[organization][_category(row["description"]), quarter] += Decimal(row["qtd_amount"])
    return {organization: dict(spent) for organization, spent in amounts.items()}


def read_offices(folder: Path, chosen: Mapping[str, tuple[str, str]]) -> list[Office]:
    """Offices of `chosen` (slug → organization, name) with what the quarterly files in `folder` say they spent."""
    amounts: dict[str, dict[tuple[str, int], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    slug_of = {organization: slug for slug, (organization, _) in chosen.items()}
    for quarter in range(1, 5):
        for row in _rows(folder / f"{_YEAR}Q{quarter}-summary.csv"):
            slug = slug_of.get(row["organization"].removeprefix(f"{_YEAR} ").strip())
            if slug and row["qtd_amount"]:
                amounts[slug][_category(row["description"]), quarter] += Decimal(row["qtd_amount"])
    return [Office(slug, name, dict(amounts[slug])) for slug, (_, name) in chosen.items() if slug in amounts]


def read_receipts(folder: Path) -> list[ScannedReceipt]:
    """The receipts of `folder`: `NNN.jpg` with `NNN.json` beside it."""
    return [_receipt(picture) for picture in sorted(folder.glob("*.jpg"))]


def parse_printed_date(text: str) -> date:
    """A date as receipts print it: day first unless it begins with the year. Raises `ValueError`."""
    for pattern in ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y", "%d-%m-%y", "%d %b %Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(text.strip().title(), pattern).date()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue
    raise ValueError(f"“{text}” is no date")


def parse_printed_total(text: str) -> Decimal | None:
    """An amount as receipts print it, whatever stands before it; `None` where nothing is printed."""
    digits = re.sub(r"[^\d.]", "", text)
    return Decimal(digits) if digits else None


def _receipt(picture: Path) -> ScannedReceipt:
    truth = json.loads(picture.with_suffix(".json").read_text(encoding="utf-8"))
    return ScannedReceipt(
        picture, truth["company"].strip(), parse_printed_date(truth["date"]), parse_printed_total(truth["total"])
    )


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _category(description: str) -> str:
    words = {"RENT COMMUNICATION UTILITIES": "Rent, communication, utilities"}
    return words.get(description, description.capitalize())
