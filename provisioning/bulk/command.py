"""`tenant create --from`: checks the list, makes its workspaces, says what became of each."""

import time
from pathlib import Path

from ...config.errors import CallError, FailedError, RefusedError
from ...platform.console.invocation import Invocation
from ..opening import open_home
from .making import Kind, Outcome
from .report import Report, check_writable, write_report
from .rows import Row, Wrong, read_rows
from .workers import make_all

_HEADINGS = {"line": "LINE", "slug": "WORKSPACE", "kind": "OUTCOME", "sentence": "WHY"}


def create_from(
    invocation: Invocation,
    path: Path,
    *,
    plan: str,
    region: str | None,
    parallel: int,
    report_to: Path | None,
    operator: str,
) -> None:
    """Make the workspaces of a list. What is there already is left alone, so the command can be repeated.

    Raises `CallError` after wrong rows were listed, and nothing was done; `FailedError` where a workspace failed for a
    reason outside, `RefusedError` where one only contradicts what is there.
    """
    if report_to is not None:
        check_writable(report_to, path)
    with open_home(invocation.settings) as platform:
        invocation.output.say(f"Checking {path} …")
        rows, wrong = read_rows(platform, path, plan, region)
        if wrong:
            _list_wrong(invocation, rows, wrong)
        report = _make(invocation, rows, parallel, report_to, operator)
    _print(invocation, report)


def _list_wrong(invocation: Invocation, rows: list[Row], wrong: list[Wrong]) -> None:
    listed = "\n".join(f"line {one.line}: {one.sentence}" for one in wrong)
    document = {"rows": len(rows), "done": 0, "wrong": wrong}
    invocation.output.done(listed, document)
    lines = len({one.line for one in wrong})
    raise CallError(f"{lines} of {len(rows)} lines are wrong, so nothing was done.")


def _make(invocation: Invocation, rows: list[Row], parallel: int, report_to: Path | None, operator: str) -> Report:
    report, began = Report(len(rows)), time.monotonic()
    try:
        with invocation.output.progress("Making workspaces", total=len(rows)) as advance:

            def done(outcome: Outcome) -> None:
                report.outcomes.append(outcome)
                advance(f"{outcome.slug} {outcome.kind}")

            make_all(invocation.settings, rows, parallel, operator, done)
    except BaseException:
        invocation.output.say(f"{len(report.outcomes)} of {len(rows)} rows done; repeat the command to go on.")
        raise
    finally:
        report.seconds = time.monotonic() - began
        if report_to is not None:
            write_report(report_to, report)
    return report


def _print(invocation: Invocation, report: Report) -> None:
    failed, refused = report.count(Kind.FAILED), report.count(Kind.REFUSED)
    if invocation.as_json:
        invocation.output.record(report.as_json())
    else:
        if report.open:
            rows = [{key: getattr(one, key) for key in _HEADINGS} for one in report.open]
            invocation.output.table(rows, _HEADINGS, "")
        invocation.output.say(report.sentence()) if report.open else invocation.output.done(report.sentence())
    if failed:
        raise FailedError(f"{failed + refused} of {report.rows} workspaces could not be made; repeat the command.")
    if refused:
        raise RefusedError(f"{refused} of {report.rows} workspaces contradict what is there; correct the list.")
