"""`strongroom status` tells of all processes what they write into the control database."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from strongroom import cli
from strongroom.platform.metrics.records import Verification
from strongroom.platform.tenants.ids import new_id
from strongroom.provisioning.healthy import isolation_check
from strongroom.provisioning.initialise import initialise_home

COUNTED = {"hits": 90, "misses": 10, "evictions": 3, "waits": 4, "timeouts": 1, "waiting": 1}
COUNTERS = COUNTED | {"open": 7, "busy": 5}
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def status(settings, embedded_server, capsys):
    """Runs `strongroom status` on the shared home and returns what it prints."""
    initialise_home(settings)

    def run(*arguments):
        capsys.readouterr()
        assert cli.run(["--home", str(settings.home), "status", *arguments]) == 1  # no portal and no worker run there
        return capsys.readouterr().out

    return run


def part(document, name):
    return next(check for check in document["checks"] if check["part"] == name)


def embedded(document):
    return next(server for server in document["registry"]["servers"] if server["name"] == "embedded")


def test_the_document_has_each_server_with_its_processes(status, report):
    process = report(COUNTERS | {"breaker": "half-open"})
    server = embedded(json.loads(status("--json")))
    use = next(one for one in server["processes"] if one["process"] == process)
    expected = COUNTED | {"held": 7, "busy": 5, "limit": 3, "hit_rate": 0.9}
    assert use == {"process": process, "kind": "web", "use": expected | {"breaker": "half-open"}}
    assert server["use"]["held"] >= 7
    assert server["spares"] >= 0


def test_a_server_that_a_process_has_given_up_is_not_ok(status, report):
    report(COUNTERS | {"breaker": "closed"})
    assert part(json.loads(status("--json")), "connections")["ok"]
    process = report(COUNTERS | {"breaker": "open"})
    found = part(json.loads(status("--json")), "connections")
    assert not found["ok"]
    assert process in found["detail"]


def test_a_process_that_has_counted_nothing_yet_is_shown_all_the_same(status, report):
    process = report({})
    use = next(one for one in embedded(json.loads(status("--json")))["processes"] if one["process"] == process)["use"]
    assert (use["held"], use["hit_rate"], use["breaker"]) == (0, None, "closed")


def test_people_see_a_line_per_process_and_the_busiest_only_when_they_ask(status, report):
    tenant = new_id()
    process = report(COUNTERS | {"busiest": [{"tenant": tenant, "uses": 10_000_000, "open": 2}]})
    short = status()
    line = next(line for line in short.splitlines() if process in line)
    assert line.split("\t")[1:9] == [f"web {process}", "7", "3", "90", "10", "90.0%", "3", "4"]
    assert tenant not in short
    assert f"{tenant}\tembedded\t10000000\t2" in status("-v").splitlines()


def test_a_failed_verification_of_isolation_is_not_ok(status, verified):
    verified(passed=True)
    assert part(json.loads(status("--json")), "isolation")["ok"]
    verified(passed=False)
    found = part(json.loads(status("--json")), "isolation")
    assert not found["ok"]
    assert "failed at 20" in found["detail"]


@pytest.mark.parametrize(
    ("hours", "passed", "installed", "ok"),
    [
        (47, True, 900, True),
        (49, True, 900, False),
        (1, False, 2, False),
        (None, None, 47, True),
        (None, None, 49, False),
    ],
)
def test_isolation_has_to_be_verified_every_two_days(hours, passed, installed, ok):
    last = None if hours is None else Verification(NOW - timedelta(hours=hours), passed)
    assert isolation_check(last, NOW - timedelta(hours=installed), NOW).ok is ok


def test_a_home_that_is_not_set_up_has_no_registry(tmp_path, capsys):
    assert cli.run(["--home", str(tmp_path / "home"), "status", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["healthy"], document["registry"]) == (False, None)
