import codecs
from pathlib import Path

import pytest

from strongroom.config.errors import CallError
from strongroom.platform.portal.imports.text import Record, layout_of, records

HEADER = "date,merchant,amount,note"
ROW = "12/03/2024,Café Müller,12.50,Süß"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spend.csv"


def cells(file: Path) -> list[tuple[str, ...]]:
    return [record.cells for record in records(file, layout_of(file))]


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("cp1252", "cp1252"), ("latin-1", "cp1252")],
)
def test_encodings_are_told_apart(file: Path, encoding: str, found: str) -> None:
    file.write_bytes(f"{HEADER}\r\n{ROW}\r\n".encode(encoding))
    assert layout_of(file).encoding == found
    assert cells(file) == [("12/03/2024", "Café Müller", "12.50", "Süß")]


def test_utf_16_of_either_order_is_read(file: Path) -> None:
    file.write_bytes(codecs.BOM_UTF16_BE + f"{HEADER}\n{ROW}".encode("utf-16-be"))
    assert cells(file)[0][1] == "Café Müller"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(file: Path, delimiter: str) -> None:
    file.write_text(f"{HEADER}\n{ROW}\n".replace(",", delimiter), encoding="utf-8")
    assert layout_of(file).delimiter == delimiter
    assert len(cells(file)[0]) == 4


def test_columns_have_aliases_and_unknown_ones_are_ignored_and_told(file: Path) -> None:
    file.write_text('Colour;"Transaction_Date";Vendor;TOTAL;E-mail;VAT;Weight\n', encoding="utf-8")
    layout = layout_of(file)
    assert layout.columns == {"date": 1, "merchant": 2, "amount": 3, "member": 4, "tax_amount": 5}
    assert layout.ignored == ("colour", "weight")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n\n  \n", "is empty"),
        (b"name,price\n", "“date” and “merchant” are missing"),
        (b"date,amount\n1,2\n", "“merchant” is missing"),
        (b"PK\x03\x04rest", "is an Excel or ZIP file; save the table as CSV"),
        (b"%PDF-1.7", "is a PDF"),
        (b"date,merchant\0,amount\n", "is not a text file"),
        ("date,merchant,amount".encode("utf-16-le"), "is not a text file"),
        (b"date,merchant,amount\n1,\x81\x8d,2\n", "encoding that is not recognised"),
        (codecs.BOM_UTF16_LE + b"d\0a", "encoding that is not recognised"),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(file: Path, content: bytes, sentence: str) -> None:
    file.write_bytes(content)
    with pytest.raises(CallError, match=sentence):
        layout_of(file)


def test_a_missing_file_is_refused(file: Path) -> None:
    with pytest.raises(CallError, match="cannot be read"):
        layout_of(file)


def test_lines_are_counted_as_an_editor_shows_them(file: Path) -> None:
    file.write_text(f'{HEADER}\n{ROW}\n\n,,,\n12/03/2024,"Two\nlines",1,\n{ROW}\n', encoding="utf-8")
    found = list(records(file, layout_of(file)))
    assert [record.line for record in found] == [2, 5, 7]
    assert found[1] == Record(5, ("12/03/2024", "Two\nlines", "1", ""))


def test_quotation_marks_that_do_not_match_are_refused_by_line(file: Path) -> None:
    file.write_text(f'{HEADER}\n{ROW}\n1,"open,3,4\n{ROW}\n', encoding="utf-8")
    with pytest.raises(CallError, match="Line 3: the quotation marks do not match"):
        cells(file)
