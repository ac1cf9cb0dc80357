"""How a certificate looks on paper: pages with head and foot, styles, tables. What stands on it is `pdf.py`'s.

reportlab has no types for much of what it takes; the ignores are for that.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import reportlab
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, LongTable, Paragraph, TableStyle

MARGIN, WIDTH = 18 * mm, A4[0] - 36 * mm
MONO = "Courier"

_INK, _QUIET, _LINE, _ACCENT = HexColor("#1a211d"), HexColor("#56605a"), HexColor("#d3cfc3"), HexColor("#0f6b4f")
_ROWS = 400  # of one table: the time to lay one out grows faster than its rows
_TEXT, _BOLD = "Vera", "VeraBd"


class Pages(Canvas):
    """Puts head and foot on each page once it is known how many there are."""

    def __init__(self, *arguments: Any, number: str, **options: Any) -> None:
        super().__init__(*arguments, **options)  # pyright: ignore[reportUnknownMemberType]
        self._number = number
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  # reportlab's name
        """Put the page aside until all are there."""
        self._pages.append(dict(self.__dict__))
        self._startPage()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # as reportlab's own examples

    def save(self) -> None:
        """Write all pages, each with its number."""
        for state in self._pages:
            self.__dict__.update(state)
            self._frame_page(len(self._pages))
            super().showPage()
        super().save()

    def _frame_page(self, total: int) -> None:
        width, height = A4
        self.setFillColor(_ACCENT)
        self.rect(MARGIN, height - 18 * mm, 4 * mm, 4 * mm, stroke=0, fill=1)
        self.setFont(_BOLD, 10)
        self.setFillColor(_INK)
        self.drawString(MARGIN + 6 * mm, height - 17.2 * mm, "Strongroom")
        self.setFont(_TEXT, 8)
        self.setFillColor(_QUIET)
        self.drawRightString(width - MARGIN, height - 17.2 * mm, "Certificate of erasure")
        self.setStrokeColor(_LINE)
        self.line(MARGIN, 15 * mm, width - MARGIN, 15 * mm)
        self.drawString(MARGIN, 11 * mm, self._number)
        self.drawRightString(width - MARGIN, 11 * mm, f"Page {self.getPageNumber()} of {total}")


_NUMBERS = ("Bytes", "Receipts", "Dumps and descriptors")


def tables(head: Sequence[str], rows: Sequence[Sequence[Flowable]], widths: Sequence[float]) -> Iterator[Flowable]:
    """Yield tables of at most `_ROWS` rows; without rows a dash, because an empty list is an answer too."""
    if not rows:
        yield Paragraph("None.", style("quiet"))
    for begin in range(0, len(rows), _ROWS):
        headings = [Paragraph(one, style("label right" if one in _NUMBERS else "label")) for one in head]
        yield table([headings, *rows[begin : begin + _ROWS]], widths, head=True)


def table(rows: Sequence[Sequence[Flowable]], widths: Sequence[float], *, head: bool) -> LongTable:
    """Return one table; with `head` its first row stands on top of every page."""
    made = LongTable([list(row) for row in rows], colWidths=widths, repeatRows=1 if head else 0)
    made.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.25, _LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 4),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ]
        )
    )
    return made


def heading(text: str) -> Paragraph:
    """Return the title of a part."""
    return Paragraph(printable(text), style("heading"))  # not kept with what follows: a long table would go along


def cell(text: str) -> Paragraph:
    """Return a cell of text."""
    return Paragraph(printable(text), style("small"))


def mono(text: str) -> Paragraph:
    """Return a cell of an identifier."""
    return Paragraph(printable(text), style("mono"))


def right(number: int) -> Paragraph:
    """Return a cell of a number."""
    return Paragraph(f"{number:,}", style("number"))


def printable(text: str) -> str:
    """The text as a paragraph's content; a character that the font lacks is written as its number."""
    glyphs = pdfmetrics.getFont(_TEXT).face.charToGlyph  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    return escape("".join(one if ord(one) in glyphs else f"\\u{ord(one):04x}" for one in text))


@cache
def register_fonts() -> None:
    """Use the fonts that come with reportlab: they are embedded, so the paper looks the same everywhere."""
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (_TEXT, _BOLD):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))  # pyright: ignore[reportUnknownMemberType]
    pdfmetrics.registerFontFamily(_TEXT, _TEXT, _BOLD, _TEXT, _BOLD)  # pyright: ignore[reportUnknownMemberType]


@cache
def style(name: str) -> ParagraphStyle:
    """Return the style of that name."""
    base = ParagraphStyle("text", fontName=_TEXT, fontSize=8.5, leading=12, textColor=_INK)
    styles: dict[str, Callable[[], ParagraphStyle]] = {
        "text": lambda: base,
        "title": lambda: ParagraphStyle("title", base, fontName=_BOLD, fontSize=18, leading=24, spaceAfter=6),
        "heading": lambda: ParagraphStyle(
            "heading", base, fontName=_BOLD, fontSize=10, leading=13, spaceBefore=12, spaceAfter=4
        ),
        "label": lambda: ParagraphStyle("label", base, fontSize=7.5, leading=12, textColor=_QUIET),
        "label right": lambda: ParagraphStyle("label right", style("label"), alignment=2, rightIndent=4),
        "quiet": lambda: ParagraphStyle("quiet", base, textColor=_QUIET),
        "small": lambda: ParagraphStyle("small", base, fontSize=7.5, leading=10, wordWrap="CJK"),
        "mono": lambda: ParagraphStyle("mono", base, fontName=MONO, fontSize=6.4, leading=9, wordWrap="CJK"),
        "number": lambda: ParagraphStyle("number", base, fontSize=7, leading=10, alignment=2, rightIndent=4),
        "item": lambda: ParagraphStyle("item", base, spaceAfter=4),
    }
    return styles[name]()
