"""The certificate of an erasure on paper: A4, as many pages as the list of what was destroyed needs."""

from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
)

from ...platform.keys import durable
from .paper import (
    MARGIN,
    MONO,
    WIDTH,
    Pages,
    cell,
    heading,
    mono,
    printable,
    register_fonts,
    right,
    style,
    table,
    tables,
)
from .records import Certificate, Document


def write_pdf(certificate: Certificate, path: Path) -> None:
    """Write the certificate to a file, over one that is there. Raises `FailedError`."""
    durable.replace(path, render(certificate))


def render(certificate: Certificate) -> bytes:
    """Return the certificate as a PDF."""
    register_fonts()
    target = BytesIO()
    document = BaseDocTemplate(
        target,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=26 * mm,
        bottomMargin=20 * mm,
        title=f"Certificate of erasure {certificate.number}",
        author="Strongroom",
        subject=f"Erasure of the account {certificate.account['id']}",
    )
    frame = Frame(MARGIN, 20 * mm, WIDTH, A4[1] - 46 * mm, 0, 0, 0, 0)
    document.addPageTemplates([PageTemplate("page", [frame])])
    document.build(list(_content(certificate.document)), canvasmaker=partial(Pages, number=certificate.number))
    return target.getvalue()


def _content(document: Any) -> Iterator[Flowable]:
    yield from _opening(document)
    yield from _steps(document)
    yield from _databases_and_keys(document)
    yield from _stores(document)
    yield from _remains(document)
    yield from _signature(document)
    yield PageBreak()
    yield Paragraph("Every object, one by one", style("title"))
    for store in document["stores"]:
        yield from _store(store)
    yield from _receipts("Receipts in the receipt store", document["receipts"])


def _opening(document: Any) -> Iterator[Flowable]:
    account = document["account"]
    yield Paragraph("Certificate of erasure", style("title"))
    sentence = (
        "The account named below was erased. Its databases are dropped, its keys destroyed with their copies, and its "
        "backups and receipts deleted. What is left, and until when, stands under “What is left”."
    )
    yield Paragraph(sentence, style("text"))
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
    rows = [[Paragraph(name, style("label")), Paragraph(printable(value), style("text"))] for name, value in facts]
    yield table(rows, (42 * mm, WIDTH - 42 * mm), head=False)


def _steps(document: Any) -> Iterator[Flowable]:
    yield CondPageBreak(28 * mm)
    yield heading("Steps")
    rows = [[cell(step["title"]), cell(step["finished_at"])] for step in document["steps"]]
    yield from tables(("Step", "Finished"), rows, (WIDTH - 55 * mm, 55 * mm))


def _databases_and_keys(document: Any) -> Iterator[Flowable]:
    databases, keys = document["databases"], document["keys"]
    yield CondPageBreak(28 * mm)
    yield heading(f"Databases dropped: {len(databases)}")
    yield from tables(("Database and login", "Server", "Was", "Dropped"), [*map(_database, databases)], _DATABASES)
    yield CondPageBreak(28 * mm)
    yield heading(f"Keys destroyed: {len(keys)}")
    yield from tables(("Key object", "Destroyed in", "At"), [*map(_key, keys)], _KEYS)


_DATABASES = (48 * mm, 32 * mm, 32 * mm, WIDTH - 112 * mm)
_KEYS = (62 * mm, WIDTH - 117 * mm, 55 * mm)


def _database(one: Document) -> list[Flowable]:
    return [mono(one["database"]), cell(one["server"]), cell(one["was"]), cell(one["dropped_at"])]


def _key(one: Document) -> list[Flowable]:
    return [mono(f"{one['kind']}/{one['id']}"), cell(", ".join(one["places"])), cell(one["destroyed_at"])]


def _stores(document: Any) -> Iterator[Flowable]:
    receipts = document["receipts"]
    yield CondPageBreak(28 * mm)
    yield heading("Stored objects deleted")
    rows = [_counts(f"Backup store “{one['store']}”", one["objects"], one["receipts"]) for one in document["stores"]]
    rows.append(_counts("Receipt store", (), receipts))
    widths = (WIDTH - 100 * mm, 40 * mm, 30 * mm, 30 * mm)
    yield from tables(("Store", "Dumps and descriptors", "Receipts", "Bytes"), rows, widths)
    if document["letters"]:
        yield Paragraph(f"Letters removed from the outbox folder: {document['letters']}.", style("quiet"))


def _counts(name: str, objects: Sequence[Document], receipts: Document) -> list[Flowable]:
    size = sum(int(one["bytes"]) for one in (*objects, *receipts["objects"]))
    return [cell(name), right(len(objects)), right(receipts["count"]), right(size)]


def _store(store: Document) -> Iterator[Flowable]:
    objects, name = store["objects"], store["store"]
    yield CondPageBreak(28 * mm)
    yield heading(f"Backup store “{name}”: {len(objects)} objects, {store['bytes']:,} bytes with receipts")
    yield from tables(("Object", "Bytes", "SHA-256"), [*map(_object, objects)], _OBJECTS)
    if any("locked_until" in one for one in objects):
        yield Paragraph("Objects marked * are locked until the date under “What is left”.", style("quiet"))
    yield from _receipts(f"Copies of receipts in the store “{name}”", store["receipts"])


_OBJECTS = (WIDTH - 114 * mm, 24 * mm, 90 * mm)


def _object(one: Document) -> list[Flowable]:
    return [mono(_of_account(one)), right(one["bytes"]), mono(one.get("sha256") or "not known")]


def _of_account(one: Document) -> str:
    """An object's name without the folder of the account, which stands in every one of them."""
    name = "/".join(str(one["object"]).split("/")[2:]) or str(one["object"])
    return f"{name} *" if "locked_until" in one else name


def _receipts(title: str, receipts: Document) -> Iterator[Flowable]:
    yield CondPageBreak(28 * mm)
    yield heading(f"{title}: {receipts['count']}")
    rows = [[mono(str(one["object"]).rpartition("/")[2]), right(one["bytes"])] for one in receipts["objects"]]
    yield from tables(("Object (SHA-256 of the sealed receipt)", "Bytes"), rows, (WIDTH - 25 * mm, 25 * mm))


def _remains(document: Any) -> Iterator[Flowable]:
    yield CondPageBreak(28 * mm)
    yield heading("What is left")
    for one in document["remains"]:
        until = f"Until {one['until']}. " if one["until"] else ""
        what = one["what"][:1].upper() + one["what"][1:]
        yield Paragraph(f"<b>{printable(what)}</b>. {until}{printable(one['sentence'])}", style("item"))


def _signature(document: Any) -> Iterator[Flowable]:
    signature = document["signature"]
    yield CondPageBreak(28 * mm)
    yield heading("Signature")
    sentence = (
        "The signed form of this certificate is the JSON document of the same number. The installation checks it with "
        "“strongroom tenant certificate --verify FILE.json”; the signature is made over the document without its "
        "member “signature”, as JSON with sorted keys and without white space, in UTF-8."
    )
    yield Paragraph(sentence, style("text"))
    yield Spacer(0, 2 * mm)
    for name, value in (("Algorithm", signature["algorithm"]), ("Public key", signature["public_key"])):
        yield Paragraph(f"{name}: <font name='{MONO}'>{value}</font>", style("small"))
    yield Paragraph(f"Signature: <font name='{MONO}'>{signature['value']}</font>", style("small"))
