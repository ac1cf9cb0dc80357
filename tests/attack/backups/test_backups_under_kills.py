"""Some rounds of `make torture-backups`: whatever is killed, nothing false stays, and nothing is lost."""

from pathlib import Path

from ordeal import Plan
from run_ordeal import endure


def test_whatever_is_killed_backups_tell_the_truth_and_workspaces_are_served(home: Path) -> None:
    plan = Plan(
        rounds=15,
        seed=4,
        commands={"run": 5, "restore": 5, "copy": 1, "verify": 1, "replicate": 1},
        measured=("all", "run", "restore"),
        finale=("all",),
    )
    report = endure(home.parent, plan, workspaces=2)
    assert not report.problems, str(report)
    assert report.killed > 5, str(report)
