"""From bytes of a file that somebody exported somewhere to rows of cells: encoding, delimiter, header."""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ....config.errors import CallError

LARGEST: Final = 200 * 1024 * 1024  # bytes
LONGEST_CELL: Final = 20_000  # characters
CHUNK: Final = 1 << 16
DELIMITERS: Final = ",;\t|"
NEEDED: Final = ("date", "merchant", "amount")
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "date": ("date", "spent on", "spent", "transaction date", "expense date", "day", "datum"),
    "merchant": ("merchant", "company", "vendor", "supplier", "payee", "shop", "store", "seller"),
    "amount": ("amount", "total", "gross", "gross amount", "sum", "value", "price", "betrag"),
    "currency": ("currency", "ccy", "currency code", "curr"),
    "category": ("category", "type", "expense type", "expense category"),
    "member": ("member", "email", "e mail", "person", "employee", "user", "spender"),
    "note": ("note", "notes", "comment", "comments", "memo", "description", "purpose"),
    "receipt": ("receipt", "receipt file", "receipts", "file", "attachment", "image"),
    "fx_rate": ("fx rate", "rate", "exchange rate", "fx"),
    "tax_amount": ("tax", "tax amount", "vat", "vat amount"),
}
_COLUMN_OF: Final = {alias: column for column, aliases in ALIASES.items() for alias in aliases}
_NOT_TEXT: Final = {
    b"PK\x03\x04": "an Excel or ZIP file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a compressed file",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written. `columns` gives the place of each known column; `ignored` are headings we do not know."""

    encoding: str
    delimiter: str
    columns: Mapping[str, int]
    width: int
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one row, and the line of the file that it begins on."""

    line: int
    cells: tuple[str, ...]


def layout_of(path: Path) -> Layout:
    """Find out how the file is written. Raises `CallError` for what is no CSV file, or lacks a column."""
    encoding = _encoding_of(path)
    with path.open(encoding=encoding, newline="") as file:
        first = next((line for line in iter(lambda: file.readline(LONGEST_CELL), "") if line.strip()), "")
    if not first:
        raise CallError(f"{path.name} is empty.")
    readings = [(_headings(first, delimiter), delimiter) for delimiter in DELIMITERS]
    headings, delimiter = max(readings, key=lambda reading: len(_columns(reading[0])))
    columns = _columns(headings)
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        found = ", ".join(f"“{heading[:40]}”" for heading in headings[:20])
        raise CallError(f"The columns are {found}; {_listed(missing)} missing in the first line of {path.name}.")
    taken = set(columns.values())
    ignored = tuple(heading for place, heading in enumerate(headings) if place not in taken and heading)
    return Layout(encoding, delimiter, columns, len(headings), ignored)


def records(path: Path, layout: Layout) -> Iterator[Record]:
    """The rows after the header, without blank ones. Raises `CallError` where quotation marks do not match."""
    with path.open(encoding=layout.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=layout.delimiter, strict=True)
        header_seen = False
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise CallError(f"Line {line}: the quotation marks do not match ({error}).") from error
            if not any(cell.strip() for cell in cells):
                continue
            if header_seen:
                yield Record(line, tuple(cells))
            header_seen = True


def _encoding_of(path: Path) -> str:
    """The encoding, told by a byte order mark, else UTF-8 if all of it is, else that of Western Windows.

    Every file can be read as Latin-1, so what has bytes that no text has is refused instead.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(4096)
            if size > LARGEST:
                raise CallError(f"{path.name} is larger than 200 MB; split it.")
            marked = _marked(start)
            _refuse_binary(path, start, marked)
            encoding = marked or ("utf-8" if _decodes(path, "utf-8") else "cp1252")
    except OSError as error:
        raise CallError(f"{path} cannot be read: {error.strerror}.") from error
    if encoding != "utf-8" and not _decodes(path, encoding):
        raise CallError(f"{path.name} is in an encoding that is not recognised; save it as UTF-8.")
    return encoding


def _marked(start: bytes) -> str | None:
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else None


def _refuse_binary(path: Path, start: bytes, marked: str | None) -> None:
    for magic, kind in _NOT_TEXT.items():
        if start.startswith(magic):
            raise CallError(f"{path.name} is {kind}; save the table as CSV first.")
    if b"\0" in start and marked not in ("utf-16", "utf-32"):
        raise CallError(f"{path.name} is not a text file; save the table as CSV in UTF-8.")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _headings(line: str, delimiter: str) -> list[str]:
    for cells in csv.reader(io.StringIO(line), delimiter=delimiter):
        return [" ".join(cell.replace("_", " ").replace("-", " ").split()).lower() for cell in cells]
    return []


def _columns(headings: list[str]) -> dict[str, int]:
    """The place of each column that is known; of two headings for the same, the one that comes first."""
    found: dict[str, int] = {}
    for place, heading in enumerate(headings):
        column = _COLUMN_OF.get(heading)
        if column:
            found.setdefault(column, place)
    return found


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return f"“{names[0]}” is"
    return f"{', '.join(f'“{name}”' for name in names[:-1])} and “{names[-1]}” are"
