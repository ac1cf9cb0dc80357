"""PostgreSQL itself crashes under the requests: clean refusals, no wrong marker, and everything answers by itself."""

from pathlib import Path

from run import run_on
from saboteur import WEIGHTS
from torture import Plan

from strongroom.config.settings import load_settings


def test_a_crash_of_the_server_costs_nobody_the_own_marker(home: Path) -> None:
    weights = dict.fromkeys(WEIGHTS, 0) | {"crash": 3, "terminate": 2, "suspend": 2}
    plan = Plan(requests=1_500, offices=4, pace=1.0, weights=weights, patience=1.0, least=0.3)
    report = run_on(load_settings(home), plan)
    assert not report.problems, str(report)
    assert report.wrong_markers == 0
    assert report.sabotage["crash"] > 0
