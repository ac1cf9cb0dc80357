"""The list of workspaces to be: a CSV file, checked completely before anything is made of it."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...config.errors import CallError
from ...platform.control.platform import Platform
from ...platform.keys import normalise_email
from ...platform.portal.expenses.money import check_currency
from ...platform.portal.imports.service import check_csv
from ...platform.servers import queries as servers
from ...platform.tenants import queries as tenants
from ...platform.tenants.slugs import check_name, check_slug
from ...tenant_schema.queries.settings import BASE_CURRENCY, DEFAULTS

NEEDED = ("slug", "name", "owner")
_NOTHING: list[str] = []
_LONGEST_SHOWN = 80
COLUMNS = (*NEEDED, "plan", "region", "currency", "expenses")


@dataclass(frozen=True, slots=True)
class Row:
    """One workspace to be. `currency` and `expenses` are None where the list says nothing of them.

    `named`: which of plan and region stand in the list itself, so that what is there must agree.
    """

    line: int
    slug: str
    name: str
    owner: str
    plan: str
    region: str
    currency: str | None = None
    expenses: Path | None = None
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a line of the list, in one sentence."""

    line: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a row may name, and what stands for a cell that is empty."""

    folder: Path
    plan: str
    region: str
    plans: frozenset[str]
    regions: frozenset[str]


def read_rows(platform: Platform, path: Path, plan: str, region: str | None) -> tuple[list[Row], list[Wrong]]:
    """Return the rows of the list, and what is wrong with it; `plan` and `region` hold where a row names none.

    Raises `CallError` where the file as a whole cannot be read, `UnavailableError` for a region without a server.
    """
    with platform.control.connect() as conn:
        plans, regions = tenants.plans_and_regions(conn)
        known = Known(path.parent, plan, region or platform.settings.region, frozenset(plans), frozenset(regions))
        rows, wrong = _checked(path, known)
        for name in {row.region for row in rows if not wrong}:
            servers.choose(conn, name)
    if not rows and not wrong:
        raise CallError(f"{path.name} has no line below its header.")
    return rows, sorted(wrong, key=lambda one: one.line)


def _checked(path: Path, known: Known) -> tuple[list[Row], list[Wrong]]:
    rows: list[Row] = []
    wrong: list[Wrong] = []
    first: dict[str, int] = {}
    for line, cells in _lines(path):
        found = _Reader(line, cells, known)
        row = found.row()
        if row.slug and row.slug in first:
            found.wrong.append(
                Wrong(line, f"The workspace address “{row.slug}” stands in line {first[row.slug]}, too.")
            )
        first.setdefault(row.slug, line)
        rows.append(row)
        wrong += found.wrong
    return rows, wrong


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str] | None]]:
    """Each line's number and its cells by column, None where there are too many or too few; without blank lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip().lower() for cell in next(reader, _NOTHING)]
            _check_header(path, header)
            begins = reader.line_num + 1
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    stripped = [cell.strip() for cell in cells]
                    yield begins, dict(zip(header, stripped, strict=True)) if len(cells) == len(header) else None
                begins = reader.line_num + 1
    except OSError as error:
        raise CallError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CallError(f"{path.name} is not text in UTF-8.") from error
    except csv.Error as error:
        raise CallError(f"{path.name} is not a CSV file with commas: {error}.") from error


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in NEEDED if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    if missing or unknown or len(set(header)) < len(header):
        raise CallError(
            f"The first line of {path.name} must name the columns {', '.join(NEEDED)}, and may name "
            f"{', '.join(COLUMNS[len(NEEDED) :])}, each once; it says: {', '.join(header)[:200] or 'nothing'}."
        )


class _Reader:
    """Reads one line, and collects all that is wrong with it."""

    def __init__(self, line: int, cells: dict[str, str] | None, known: Known) -> None:
        self._line = line
        self._cells = cells or {}
        self._known = known
        self.wrong = [] if cells else [Wrong(line, "This line has more or fewer cells than the header.")]

    def row(self) -> Row:
        """What the line says. To be used only if nothing is `wrong`."""
        if not self._cells:
            return Row(self._line, "", "", "", "", "")
        known = self._known
        owner = self._read("owner", normalise_email)
        currency = self._optional("currency", check_currency)
        return Row(
            self._line,
            slug=self._read("slug", check_slug),
            name=self._read("name", check_name),
            owner=owner,
            plan=self._one_of("plan", known.plans, known.plan),
            region=self._one_of("region", known.regions, known.region),
            currency=currency,
            expenses=self._expenses(currency or str(DEFAULTS[BASE_CURRENCY]), owner),
            named=tuple(column for column in ("plan", "region") if self._cells.get(column)),
        )

    def _read(self, column: str, check: Callable[[str], str]) -> str:
        try:
            return check(self._cells.get(column, ""))
        except CallError as error:
            self.wrong.append(Wrong(self._line, f"{column}: {error}"))
            return ""

    def _optional(self, column: str, check: Callable[[str], str]) -> str | None:
        return self._read(column, check) or None if self._cells.get(column) else None

    def _one_of(self, column: str, known: frozenset[str], default: str) -> str:
        value = self._cells.get(column) or default
        if value not in known:
            self.wrong.append(
                Wrong(self._line, f"There is no {column} “{value}”; there are: {', '.join(sorted(known))}.")
            )
        return value

    def _expenses(self, currency: str, owner: str) -> Path | None:
        name = self._cells.get("expenses")
        if not name:
            return None
        path = self._beside(name)
        if path is None:
            self.wrong.append(Wrong(self._line, f"expenses: there is no file {_shown(name)} beside the list."))
            return None
        try:
            rejected = check_csv(path, currency, owner)
        except CallError as error:
            self.wrong.append(Wrong(self._line, f"expenses: {error}"))
        else:
            self.wrong += [Wrong(self._line, f"{name}, line {bad.line}: {bad.sentence}") for bad in rejected]
        return path

    def _beside(self, name: str) -> Path | None:
        """The file of that name in the list's folder, or below; None where there is none, or can be none."""
        folder = self._known.folder.resolve()
        try:
            path = (folder / name).resolve()
            return path if path.is_relative_to(folder) and path.is_file() else None
        except (OSError, ValueError):  # longer than a name may be, or with a NUL in it
            return None


def _shown(name: str) -> str:
    """A name as it can stand in a message, whatever the cell holds."""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return printable if len(printable) <= _LONGEST_SHOWN else f"{printable[:_LONGEST_SHOWN]}…"
