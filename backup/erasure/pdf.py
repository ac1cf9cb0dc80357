"""The certificate of an erasure on paper: A4, as many pages as the list of what was destroyed needs.

reportlab has no types for much of what it takes; the ignores are for that.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from io import BytesIO
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
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    LongTable,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    TableStyle,
)

from ...platform.keys import durable
from .records import Certificate, Document

_INK, _QUIET, _LINE, _ACCENT = HexColor("#1a211d"), HexColor("#56605a"), HexColor("#d3cfc3"), HexColor("#0f6b4f")
_MARGIN, _WIDTH = 18 * mm, A4[0] - 36 * mm
_ROWS = 400  # of one table: the time to lay one out grows faster than its rows
_TEXT, _BOLD, _MONO = "Vera", "VeraBd", "Courier"


def write_pdf(certificate: Certificate, path: Path) -> None:
    """Write the certificate to a file, over one that is there. Raises `FailedError`."""
    durable.replace(path, render(certificate))


def render(certificate: Certificate) -> bytes:
    """Return the certificate as a PDF."""
    _register_fonts()
    target = BytesIO()
    document = BaseDocTemplate(
        target,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=26 * mm,
        bottomMargin=20 * mm,
        title=f"Certificate of erasure {certificate.number}",
        author="Strongroom",
        subject=f"Erasure of the account {certificate.account['id']}",
    )
    frame = Frame(_MARGIN, 20 * mm, _WIDTH, A4[1] - 46 * mm, 0, 0, 0, 0)
    document.addPageTemplates([PageTemplate("page", [frame])])
    document.build(list(_content(certificate.document)), canvasmaker=partial(_Pages, number=certificate.number))
    return target.getvalue()


class _Pages(Canvas):
    """Puts head and foot on each page once it is known how many there are."""

    def __init__(self, *arguments: Any, number: str, **options: Any) -> None:
        super().__init__(*arguments, **options)  # pyright: ignore[reportUnknownMemberType]
        self._number = number
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802  # reportlab's name
        self._pages.append(dict(self.__dict__))
        self._startPage()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # as reportlab's own examples

    def save(self) -> None:
        for state in self._pages:
            self.__dict__.update(state)
            self._frame_page(len(self._pages))
            super().showPage()
        super().save()

    def _frame_page(self, total: int) -> None:
        width, height = A4
        self.setFillColor(_ACCENT)
        self.rect(_MARGIN, height - 18 * mm, 4 * mm, 4 * mm, stroke=0, fill=1)
        self.setFont(_BOLD, 10)
        self.setFillColor(_INK)
        self.drawString(_MARGIN + 6 * mm, height - 17.2 * mm, "Strongroom")
        self.setFont(_TEXT, 8)
        self.setFillColor(_QUIET)
        self.drawRightString(width - _MARGIN, height - 17.2 * mm, "Certificate of erasure")
        self.setStrokeColor(_LINE)
        self.line(_MARGIN, 15 * mm, width - _MARGIN, 15 * mm)
        self.drawString(_MARGIN, 11 * mm, self._number)
        self.drawRightString(width - _MARGIN, 11 * mm, f"Page {self.getPageNumber()} of {total}")


def _content(document: Any) -> Iterator[Flowable]:
    yield from _opening(document)
    yield from _steps(document)
    yield from _databases_and_keys(document)
    yield from _stores(document)
    yield from _remains(document)
    yield from _signature(document)
    yield PageBreak()
    yield Paragraph("Every object, one by one", _style("title"))
    for store in document["stores"]:
        yield from _store(store)
    yield from _receipts("Receipts in the receipt store", document["receipts"])


def _opening(document: Any) -> Iterator[Flowable]:
    account = document["account"]
    yield Paragraph("Certificate of erasure", _style("title"))
    sentence = (
        "The account named below was erased. Its databases are dropped, its keys destroyed with their copies, and its "
        "backups and receipts deleted. What is left, and until when, stands under “What is left”."
    )
    yield Paragraph(sentence, _style("text"))
    yield Spacer(0, 4 * mm)
    facts = [
        ("Account", f"{account['name']} ({account['slug']})"),
        ("Account id", account["id"]),
        ("Certificate", document["number"]),
        ("Erasure begun", document["requested_at"]),
        ("Erasure finished", document["finished_at"]),
        ("Operator", document["operator"]),
        ("Last log key destroyed", document["last_log_key_destroyed_at"] or "no log archive is kept"),
        ("Installation", f"master key {document['installation']}"),
    ]
    rows = [[Paragraph(name, _style("label")), Paragraph(_printable(value), _style("text"))] for name, value in facts]
    yield _table(rows, (42 * mm, _WIDTH - 42 * mm), head=False)


def _steps(document: Any) -> Iterator[Flowable]:
    yield CondPageBreak(28 * mm)
    yield _heading("Steps")
    rows = [[_cell(step["title"]), _cell(step["finished_at"])] for step in document["steps"]]
    yield from _tables(("Step", "Finished"), rows, (_WIDTH - 55 * mm, 55 * mm))


def _databases_and_keys(document: Any) -> Iterator[Flowable]:
    databases, keys = document["databases"], document["keys"]
    yield CondPageBreak(28 * mm)
    yield _heading(f"Databases dropped: {len(databases)}")
    yield from _tables(("Database and login", "Server", "Was", "Dropped"), [*map(_database, databases)], _DATABASES)
    yield CondPageBreak(28 * mm)
    yield _heading(f"Keys destroyed: {len(keys)}")
    yield from _tables(("Key object", "Destroyed in", "At"), [*map(_key, keys)], _KEYS)


_DATABASES = (48 * mm, 32 * mm, 32 * mm, _WIDTH - 112 * mm)
_KEYS = (62 * mm, _WIDTH - 117 * mm, 55 * mm)


def _database(one: Document) -> list[Flowable]:
    return [_mono(one["database"]), _cell(one["server"]), _cell(one["was"]), _cell(one["dropped_at"])]


def _key(one: Document) -> list[Flowable]:
    return [_mono(f"{one['kind']}/{one['id']}"), _cell(", ".join(one["places"])), _cell(one["destroyed_at"])]


def _stores(document: Any) -> Iterator[Flowable]:
    receipts = document["receipts"]
    yield CondPageBreak(28 * mm)
    yield _heading("Stored objects deleted")
    rows = [_counts(f"Backup store “{one['store']}”", one["objects"], one["receipts"]) for one in document["stores"]]
    rows.append(_counts("Receipt store", (), receipts))
    widths = (_WIDTH - 100 * mm, 40 * mm, 30 * mm, 30 * mm)
    yield from _tables(("Store", "Dumps and descriptors", "Receipts", "Bytes"), rows, widths)
    if document["letters"]:
        yield Paragraph(f"Letters removed from the outbox folder: {document['letters']}.", _style("quiet"))


def _counts(name: str, objects: Sequence[Document], receipts: Document) -> list[Flowable]:
    size = sum(int(one["bytes"]) for one in (*objects, *receipts["objects"]))
    return [_cell(name), _right(len(objects)), _right(receipts["count"]), _right(size)]


def _store(store: Document) -> Iterator[Flowable]:
    objects, name = store["objects"], store["store"]
    yield CondPageBreak(28 * mm)
    yield _heading(f"Backup store “{name}”: {len(objects)} objects, {store['bytes']:,} bytes with receipts")
    yield from _tables(("Object", "Bytes", "SHA-256"), [*map(_object, objects)], _OBJECTS)
    if any("locked_until" in one for one in objects):
        yield Paragraph("Objects marked * are locked until the date under “What is left”.", _style("quiet"))
    yield from _receipts(f"Copies of receipts in the store “{name}”", store["receipts"])


_OBJECTS = (_WIDTH - 114 * mm, 24 * mm, 90 * mm)


def _object(one: Document) -> list[Flowable]:
    return [_mono(_of_account(one)), _right(one["bytes"]), _mono(one.get("sha256") or "not known")]


def _of_account(one: Document) -> str:
    """An object's name without the folder of the account, which stands in every one of them."""
    name = "/".join(str(one["object"]).split("/")[2:]) or str(one["object"])
    return f"{name} *" if "locked_until" in one else name


def _receipts(title: str, receipts: Document) -> Iterator[Flowable]:
    yield CondPageBreak(28 * mm)
    yield _heading(f"{title}: {receipts['count']}")
    rows = [[_mono(str(one["object"]).rpartition("/")[2]), _right(one["bytes"])] for one in receipts["objects"]]
    yield from _tables(("Object (SHA-256 of the sealed receipt)", "Bytes"), rows, (_WIDTH - 25 * mm, 25 * mm))


def _remains(document: Any) -> Iterator[Flowable]:
    yield CondPageBreak(28 * mm)
    yield _heading("What is left")
    for one in document["remains"]:
        until = f"Until {one['until']}. " if one["until"] else ""
        what = one["what"][:1].upper() + one["what"][1:]
        yield Paragraph(f"<b>{_printable(what)}</b>. {until}{_printable(one['sentence'])}", _style("item"))


def _signature(document: Any) -> Iterator[Flowable]:
    signature = document["signature"]
    yield CondPageBreak(28 * mm)
    yield _heading("Signature")
    sentence = (
        "The signed form of this certificate is the JSON document of the same number. The installation checks it with "
        "“strongroom tenant certificate --verify FILE.json”; the signature is made over the document without its "
        "member “signature”, as JSON with sorted keys and without white space, in UTF-8."
    )
    yield Paragraph(sentence, _style("text"))
    yield Spacer(0, 2 * mm)
    for name, value in (("Algorithm", signature["algorithm"]), ("Public key", signature["public_key"])):
        yield Paragraph(f"{name}: <font name='{_MONO}'>{value}</font>", _style("small"))
    yield Paragraph(f"Signature: <font name='{_MONO}'>{signature['value']}</font>", _style("small"))


_NUMBERS = ("Bytes", "Receipts", "Dumps and descriptors")


def _tables(head: Sequence[str], rows: Sequence[Sequence[Flowable]], widths: Sequence[float]) -> Iterator[Flowable]:
    """Yield tables of at most `_ROWS` rows; without rows a dash, because an empty list is an answer too."""
    if not rows:
        yield Paragraph("None.", _style("quiet"))
    for begin in range(0, len(rows), _ROWS):
        headings = [Paragraph(one, _style("label right" if one in _NUMBERS else "label")) for one in head]
        yield _table([headings, *rows[begin : begin + _ROWS]], widths, head=True)


def _table(rows: Sequence[Sequence[Flowable]], widths: Sequence[float], *, head: bool) -> LongTable:
    table = LongTable([list(row) for row in rows], colWidths=widths, repeatRows=1 if head else 0)
    table.setStyle(
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
    return table


def _heading(text: str) -> Paragraph:
    return Paragraph(_printable(text), _style("heading"))  # not kept with what follows: a long table would go along


def _cell(text: str) -> Paragraph:
    return Paragraph(_printable(text), _style("small"))


def _mono(text: str) -> Paragraph:
    return Paragraph(_printable(text), _style("mono"))


def _right(number: int) -> Paragraph:
    return Paragraph(f"{number:,}", _style("number"))


def _printable(text: str) -> str:
    """The text as a paragraph's content; a character that the font lacks is written as its number."""
    glyphs = pdfmetrics.getFont(_TEXT).face.charToGlyph  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    return escape("".join(one if ord(one) in glyphs else f"\\u{ord(one):04x}" for one in text))


@cache
def _register_fonts() -> None:
    """Use the fonts that come with reportlab: they are embedded, so the paper looks the same everywhere."""
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (_TEXT, _BOLD):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))  # pyright: ignore[reportUnknownMemberType]
    pdfmetrics.registerFontFamily(_TEXT, _TEXT, _BOLD, _TEXT, _BOLD)  # pyright: ignore[reportUnknownMemberType]


@cache
def _style(name: str) -> ParagraphStyle:
    base = ParagraphStyle("text", fontName=_TEXT, fontSize=8.5, leading=12, textColor=_INK)
    styles: dict[str, Callable[[], ParagraphStyle]] = {
        "text": lambda: base,
        "title": lambda: ParagraphStyle("title", base, fontName=_BOLD, fontSize=18, leading=24, spaceAfter=6),
        "heading": lambda: ParagraphStyle(
            "heading", base, fontName=_BOLD, fontSize=10, leading=13, spaceBefore=12, spaceAfter=4
        ),
        "label": lambda: ParagraphStyle("label", base, fontSize=7.5, leading=12, textColor=_QUIET),
        "label right": lambda: ParagraphStyle("label right", _style("label"), alignment=2, rightIndent=4),
        "quiet": lambda: ParagraphStyle("quiet", base, textColor=_QUIET),
        "small": lambda: ParagraphStyle("small", base, fontSize=7.5, leading=10, wordWrap="CJK"),
        "mono": lambda: ParagraphStyle("mono", base, fontName=_MONO, fontSize=6.4, leading=9, wordWrap="CJK"),
        "number": lambda: ParagraphStyle("number", base, fontSize=7, leading=10, alignment=2, rightIndent=4),
        "item": lambda: ParagraphStyle("item", base, spaceAfter=4),
    }
    return styles[name]()
