"""The import of a CSV file: every row is checked; one wrong row, and nothing of the file is stored."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from ....config.errors import CallError, StrongroomError
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, bulk, categories, members, receipts
from ....tenant_schema.tables import expense, member
from ...keys.emails import normalise_email
from ...keys.fields import FieldCipher
from ...keys.receipts import ReceiptVault
from ..receipts.files import LARGEST
from ..receipts.service import sealed_row
from .rows import NO_ID, ImportedRow, Rules, decimal_marks, read_row
from .text import Layout, layout_of, records

BATCH: Final = 5000  # rows held in memory at once
MOST_REJECTIONS: Final = 1000  # listed; more are only counted
MOST_NEW_CATEGORIES: Final = 200

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is wrong: the line of the file that it begins on, and why, in one sentence."""

    line: int
    sentence: str


@dataclass(slots=True)
class ImportResult:
    """What an import did. With any rejected row nothing was stored, and `imported` is 0."""

    read: int = 0
    imported: int = 0
    receipts: int = 0
    rejected_count: int = 0
    rejected: list[RejectedRow] = field(default_factory=list[RejectedRow])
    new_categories: list[str] = field(default_factory=list[str])
    ignored_columns: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the file was stored."""
        return self.rejected_count == 0


def import_csv(
    conn: Connection,
    cipher: FieldCipher,
    vault: ReceiptVault | None,
    path: Path,
    receipts_dir: Path | None = None,
    *,
    base_currency: str,
    default_member_id: UUID,
    progress: Progress | None = None,
) -> ImportResult:
    """Store the expenses of `path` as drafts of the members they name, inside the caller's transaction.

    `progress` is told the number of rows read so far. Raises `CallError` where the file as a whole cannot be read.
    """
    layout = layout_of(path)
    run = _Run(conn, cipher, vault, receipts_dir, _rules(conn, cipher, layout, path, base_currency, default_member_id))
    savepoint = conn.begin_nested()
    try:
        run.store_rows(path, progress or (lambda _count: None))
        if run.result.accepted:
            run.store_receipts()
    except BaseException:
        savepoint.rollback()
        run.forget_receipts()
        raise
    if not run.result.accepted:
        savepoint.rollback()
        run.forget_receipts()
        return replace(run.result, imported=0, receipts=0, new_categories=[])
    savepoint.commit()
    audit.record(conn, None, "expenses.imported", None, None, {"count": run.result.imported})
    return run.result


def check_csv(path: Path, base_currency: str, owner: str) -> list[RejectedRow]:
    """Return what is wrong with a file for a workspace that is not there yet, in which `owner` is the only member.

    Raises `CallError` where the file as a whole cannot be read.
    """
    layout = layout_of(path)
    rules = _rules_of(layout, path, base_currency, {owner: NO_ID}, NO_ID)
    rejected: list[RejectedRow] = []
    for record in records(path, layout):
        try:
            row = read_row(record, rules)
        except CallError as error:
            rejected.append(RejectedRow(record.line, str(error)))
        else:
            if row.receipt:
                sentence = f"This row names the receipt {row.receipt}, but no folder of receipts was given."
                rejected.append(RejectedRow(record.line, sentence))
    return rejected


class _Run:
    """One import while it runs."""

    def __init__(
        self, conn: Connection, cipher: FieldCipher, vault: ReceiptVault | None, receipts_dir: Path | None, rules: Rules
    ) -> None:
        self._conn = conn
        self._cipher = cipher
        self._vault = vault
        self._receipts_dir = receipts_dir
        self._rules = rules
        self._categories = {name.casefold(): id_ for name, id_ in categories.ensure(conn, ()).items()}
        self._proofs: list[tuple[int, UUID, UUID, str]] = []  # line, expense, member, file
        self._objects: list[str] = []
        self.result = ImportResult(ignored_columns=rules.layout.ignored)

    def store_rows(self, path: Path, progress: Progress) -> None:
        """Check every row; store batch by batch as long as none was wrong."""
        rows = self._checked(path)
        while batch := list(islice(rows, BATCH)):
            if self.result.accepted:
                self._store(batch)
            progress(self.result.read)
        progress(self.result.read)

    def store_receipts(self) -> None:
        """Seal the receipts that rows name, one at a time."""
        for line, expense_id, member_id, name in self._proofs:
            try:
                self._store_receipt(expense_id, member_id, name)
            except CallError as error:
                self._reject(line, f"Receipt {name}: {error}")

    def forget_receipts(self) -> None:
        """Remove what was stored for an import that is rolled back; what stays is an orphan, removed later."""
        for name in self._objects:
            with suppress(StrongroomError):
                assert self._vault is not None
                self._vault.delete(name)

    def _checked(self, path: Path) -> Iterator[ImportedRow]:
        for record in records(path, self._rules.layout):
            self.result.read += 1
            try:
                row = read_row(record, self._rules)
                self._check_receipt(row.receipt)
            except CallError as error:
                self._reject(record.line, str(error))
            else:
                yield row

    def _reject(self, line: int, sentence: str) -> None:
        self.result.rejected_count += 1
        if len(self.result.rejected) < MOST_REJECTIONS:
            self.result.rejected.append(RejectedRow(line, sentence))

    def _check_receipt(self, name: str) -> None:
        if not name:
            return
        if self._receipts_dir is None or self._vault is None:
            raise CallError(f"This row names the receipt {name}, but no folder of receipts was given.")
        file = self._receipts_dir / name
        if not file.is_file():
            raise CallError(f"There is no receipt {name} in the folder.")
        if file.stat().st_size > LARGEST:
            raise CallError(f"The receipt {name} is larger than 20 MB.")

    def _store(self, batch: list[ImportedRow]) -> None:
        self._make_categories(batch)
        self.result.imported += bulk.copy_expenses(self._conn, (self._values(row) for row in batch))

    def _values(self, row: ImportedRow) -> list[Any]:
        expense_id = new_uuid7()
        if row.receipt:
            self._proofs.append((row.line, expense_id, row.member_id, row.receipt))
        note = self._cipher.seal(expense.c.note, expense_id, row.given.note) if row.given.note else None
        columns = row.given.columns() | {
            "id": expense_id,
            "member_id": row.member_id,
            "category_id": self._categories[row.category.casefold()],
            "report_id": None,
            "state": "draft",
            "note": note,
        }
        return [columns[name] for name in bulk.EXPENSE_COLUMNS]

    def _make_categories(self, batch: list[ImportedRow]) -> None:
        new: dict[str, str] = {}
        for row in batch:
            if row.category.casefold() not in self._categories:
                new.setdefault(row.category.casefold(), row.category)
        if not new:
            return
        self.result.new_categories += new.values()
        if len(self.result.new_categories) > MOST_NEW_CATEGORIES:
            raise CallError(f"The file names more than {MOST_NEW_CATEGORIES} new categories; check that column.")
        made = categories.ensure(self._conn, list(new.values()))
        self._categories = {name.casefold(): id_ for name, id_ in made.items()}

    def _store_receipt(self, expense_id: UUID, member_id: UUID, name: str) -> None:
        assert self._receipts_dir is not None
        assert self._vault is not None
        try:
            content = (self._receipts_dir / name).read_bytes()
        except OSError as error:
            raise CallError(f"it cannot be read: {error.strerror}.") from error
        row = sealed_row(self._cipher, self._vault, new_uuid7(), member_id, name, content)
        self._objects += [row["object"], row["preview_object"]]
        receipts.add(self._conn, row)
        receipts.attach(self._conn, expense_id, [row["id"]])
        self.result.receipts += 1


def _rules(
    conn: Connection, cipher: FieldCipher, layout: Layout, path: Path, base_currency: str, default_member_id: UUID
) -> Rules:
    addresses = {
        normalise_email(cipher.open(member.c.email, one.id, one.email)): one.id for one in members.list_active(conn)
    }
    return _rules_of(layout, path, base_currency, addresses, default_member_id)


def _rules_of(
    layout: Layout, path: Path, base_currency: str, addresses: Mapping[str, UUID], default_member_id: UUID
) -> Rules:
    """What the file's rows are read with; its decimal marks are looked at before any row is believed."""
    places = [layout.columns[name] for name in ("amount", "tax_amount") if name in layout.columns]
    cells = (row.cells[place] for row in records(path, layout) for place in places if place < len(row.cells))
    marks = decimal_marks(cells)
    return Rules(
        layout,
        base_currency,
        addresses,
        default_member_id,
        datetime.now(UTC).date(),
        mark=next(iter(marks)) if len(marks) == 1 else None,
        mixed=len(marks) > 1,
    )
