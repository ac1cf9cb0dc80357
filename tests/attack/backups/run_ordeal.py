"""Backups under kills at any length, on a home of its own: `python tests/attack/backups/run_ordeal.py --rounds 300`."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from homestead import homestead
from ordeal import Plan, Report, ordeal


def main() -> int:
    """Run, print what happened, return 1 for any problem."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--workspaces", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    parent = Path(tempfile.mkdtemp(prefix="strongroom-torture-", dir="/tmp"))
    parent.chmod(0o755)  # PostgreSQL's account must get in
    plan = Plan(chosen.rounds, chosen.seed, announce=lambda line: print(line, file=sys.stderr, flush=True))
    try:
        report = endure(parent, plan, chosen.workspaces)
    finally:
        print(f"What the commands said: {_kept_log(parent)}", file=sys.stderr)
        shutil.rmtree(parent)
    print(report)
    return 1 if report.problems else 0


def endure(parent: Path, plan: Plan, workspaces: int) -> Report:
    """Set up a home below `parent` and carry out `plan` there."""
    with homestead(parent, workspaces) as home:
        return ordeal(home, plan, parent / "commands.log")


def _kept_log(parent: Path) -> Path:
    log, kept = parent / "commands.log", Path(tempfile.gettempdir()) / "strongroom-torture-backups.log"
    if log.exists():
        shutil.copyfile(log, kept)
    return kept


if __name__ == "__main__":
    sys.exit(main())
