"""What a command says: results on standard output, everything else on standard error.

Three dresses for one result: a JSON document (`--json`), tables on a terminal, tab-separated lines in a pipe.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, cast
from uuid import UUID

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
Advance = Callable[[str], None]
_LINE_SECONDS = 2.0


class Output:
    """Where a command writes. One per invocation."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._has_document = False
        self._out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._err = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def table(self, rows: Sequence[Row], columns: Mapping[str, str], empty: str) -> None:
        """Print a list of rows. JSON has all keys; people see `columns` (key → heading), or `empty` without rows."""
        if self.as_json:
            self._document(list(rows))
        elif not rows:
            self.say(empty)
        elif self._out.is_terminal:
            table = Table(box=None, header_style="bold", pad_edge=False)
            for heading in columns.values():
                table.add_column(heading, overflow="fold")
            for row in rows:
                table.add_row(*(plain(row[key]) for key in columns))
            self._out.print(table, markup=False)
        else:
            self._lines("\t".join(_cell(row[key]) for key in columns) for row in [dict(columns), *rows])

    def record(self, row: Row, labels: Mapping[str, str] | None = None) -> None:
        """Print one object, a line per field. `labels` (key → heading) says which fields people see, and how called."""
        if self.as_json:
            self._document(row)
            return
        shown = labels or {key: key.replace("_", " ") for key in row}
        width = max(map(len, shown.values()), default=0)
        for key, label in shown.items():
            self._out.print(f"{label:<{width}}  {plain(row[key])}", markup=False)

    def done(self, sentence: str, row: Row | None = None) -> None:
        """Print the result of an action: `row` as the JSON document, `sentence` for people."""
        if self.as_json:
            self._document(row if row is not None else {"done": sentence})
        else:
            self._out.print(sentence, markup=False)

    def print_plain(self, text: str) -> None:
        """Print text that is the result for people and has no JSON form."""
        self._lines([text])

    def say(self, sentence: str) -> None:
        """Say what is going on, on standard error."""
        self._err.print(sentence, markup=False)

    def error(self, sentence: str, exit_code: int) -> None:
        """Say what is wrong; with `--json` and no result, also as the one document: a script always has one to read."""
        if self.as_json and not self._has_document:
            self._document({"error": sentence, "exit_code": exit_code})
        self._err.print(f"strongroom: {sentence}", markup=False)

    @contextmanager
    def progress(self, title: str, total: int | None = None) -> Generator[Advance]:
        """Show progress on standard error: a bar on a terminal, a line per step elsewhere. Yields `advance(step)`.

        With a `total` also how many of how many, the rate and the time that remains; elsewhere then a line in a while.
        """
        if not self._err.is_terminal:
            self.say(f"{title} …")
            yield self._count_lines(total) if total else lambda step: self.say(f"  {step}")
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        if total:
            columns = (*columns[:3], MofNCompleteColumn(), _Rate(), TimeRemainingColumn(elapsed_when_finished=True))
        with Progress(*columns, console=self._err, transient=True) as bar:
            task = bar.add_task(title, total=total)

            def advance(step: str) -> None:
                bar.update(task, advance=1, description=f"{title}: {step}")

            yield advance

    def _count_lines(self, total: int) -> Advance:
        began = said = time.monotonic()
        count = 0

        def advance(step: str) -> None:
            nonlocal count, said
            count, now = count + 1, time.monotonic()
            if now - said >= _LINE_SECONDS or count == total:
                rate = count / max(now - began, 0.001)
                self.say(f"  {count} of {total}, {rate:.1f}/s, {(total - count) / rate:.0f} s left: {step}")
                said = now

        return advance

    def _document(self, content: Any) -> None:
        self._has_document = True
        self._lines([json.dumps(content, default=_json_value, ensure_ascii=False, indent=2)])

    def _lines(self, lines: Any) -> None:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


def plain(value: Any) -> str:
    """A value as people read it: times in RFC 3339 with offset, “–” for nothing."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case Enum():
            return str(value.value)
        case list() | tuple():
            return ", ".join(plain(item) for item in cast("list[Any]", value))
        case _:
            return str(value)


def _cell(value: Any) -> str:
    return " ".join(plain(value).split()) if value is not None else ""


def _json_value(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal() | UUID() | PurePath() | Path():
            return str(value)
        case Enum():
            return value.value
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
