"""What monitoring reads: parsed by the parsers of Prometheus's own client."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from free_ports import free_ports
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics
from sqlalchemy import create_engine
from werkzeug.test import Client

from strongroom.config.settings import Settings
from strongroom.platform.metrics.endpoint import metrics_app
from strongroom.platform.tenants.ids import new_id

COUNTERS = {"hits": 90, "misses": 10, "evictions": 3, "waits": 4, "timeouts": 1, "discarded": 2}
STATE = {"open": 7, "busy": 5, "waiting": 1, "breaker": "half-open"}
SETTINGS = Settings(Path("/nowhere"))
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scrape(engine, accept=""):
    answer = Client(metrics_app(engine, SETTINGS)).get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    parse = openmetrics if answer.content_type.startswith("application/openmetrics-text") else prometheus
    return {family.name: family for family in parse.text_string_to_metric_families(answer.text)}


def values(family, **labels):
    """The samples of `family` that have these labels: what else they are labelled with → value."""
    found = [sample for sample in family.samples if labels.items() <= sample.labels.items()]
    return {tuple(v for k, v in sample.labels.items() if k not in labels): sample.value for sample in found}


@pytest.mark.parametrize("accept", [OPENMETRICS, "text/plain"])
def test_the_registry_of_each_process_is_in_the_format_that_is_asked_for(platform, report, accept):
    process = report(COUNTERS | STATE)
    found = scrape(platform.control, accept)
    for name, value in COUNTERS.items():
        assert values(found[f"strongroom_registry_{name}"], process=process) == {("embedded",): value}
    connections = values(found["strongroom_registry_connections"], process=process, server="embedded")
    assert connections == {("busy",): 5, ("idle",): 2}
    assert values(found["strongroom_registry_waiting"], process=process) == {("embedded",): 1}
    assert values(found["strongroom_registry_lease_connections"], process=process) == {("web", "embedded"): 3}
    breaker = values(found["strongroom_registry_breaker"], process=process, server="embedded")
    assert breaker == {("closed",): 0, ("half-open",): 1, ("open",): 0}


def test_states_and_proofs_are_counted(platform, tenant, verified):
    verified(passed=False)
    found = scrape(platform.control)
    assert found["strongroom_up"].samples[0].value == 1
    states = values(found["strongroom_tenants"])
    assert states["active",] >= 1
    assert {("suspended",), ("pending",), ("erased",)} <= states.keys()
    assert {("todo",), ("doing",), ("failed",)} <= values(found["strongroom_jobs"]).keys()
    assert values(found["strongroom_server_databases"])["embedded",] >= 1
    assert values(found["strongroom_server_spares"])["embedded",] >= 0
    assert found["strongroom_isolation_verification_passed"].samples[0].value == 0
    assert 3500 < found["strongroom_isolation_verification_age_seconds"].samples[0].value < 4500


def test_the_lag_of_the_logs_archive_is_told_where_there_is_one(platform, tmp_path):
    metrics = metrics_app(platform.control, replace(platform.settings, home=tmp_path))
    assert "strongroom_archive_lag_seconds" not in Client(metrics).get("/metrics").text
    spool = tmp_path / "postgres" / "log-spool"
    spool.mkdir(parents=True)
    (spool / ".half.new").touch()
    assert "strongroom_archive_lag_seconds 0.0" in Client(metrics).get("/metrics").text
    (spool / "0000000100000000000000A1").touch()
    os.utime(spool / "0000000100000000000000A1", (0, 0))
    assert re.search(r"strongroom_archive_lag_seconds [1-9]", Client(metrics).get("/metrics").text)


def test_no_customer_is_named_and_the_list_of_the_busiest_is_bounded(platform, tenant, report):
    busy = [{"tenant": new_id(), "uses": 1_000_000 + number, "open": 1} for number in range(30)]
    report(COUNTERS | {"busiest": busy[:15]})
    report(COUNTERS | {"busiest": busy[15:] + busy[:1]})
    uses = values(scrape(platform.control)["strongroom_registry_busiest_uses"], server="embedded")
    assert len(uses) == 20
    assert uses[busy[0]["tenant"],] == 2_000_000
    text = Client(metrics_app(platform.control, platform.settings)).get("/metrics").text
    assert tenant.slug not in text
    assert tenant.name not in text


@pytest.mark.parametrize("counters", [{}, {"hits": "many", "breaker": 7, "busiest": [1, {"uses": 2}]}])
def test_a_process_that_says_less_or_otherwise_counts_nothing(platform, report, counters):
    process = report(counters)
    found = scrape(platform.control)
    assert values(found["strongroom_registry_hits"], process=process) == {("embedded",): 0}
    breaker = values(found["strongroom_registry_breaker"], process=process, server="embedded")
    assert breaker == {("closed",): 1, ("half-open",): 0, ("open",): 0}


def test_a_process_whose_lease_has_ended_is_gone(platform, report):
    process = report(COUNTERS, lease="-1 s")
    assert values(scrape(platform.control)["strongroom_registry_hits"], process=process) == {}


@pytest.mark.parametrize("accept", [OPENMETRICS, ""])
def test_while_the_control_database_is_away_that_is_what_is_said(accept):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    engine = create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{port}/nothing")
    found = scrape(engine, accept)
    assert list(found) == ["strongroom_up"]
    assert found["strongroom_up"].samples[0].value == 0


def test_there_is_nothing_but_the_metrics(platform):
    assert Client(metrics_app(platform.control, platform.settings)).get("/").status_code == 404


def test_the_listener_answers_one_caller_while_another_says_nothing_and_ends_at_once(platform, settings):
    port = str(free_ports())
    command = [sys.executable, "-P", "-m", "strongroom", "--home", str(settings.home), "serve"]
    with subprocess.Popen([*command, "--parent", str(os.getpid()), "--metrics-port", port, "metrics"]) as process:
        with connection(process, int(port)), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert b"strongroom_up 1.0" in answer.read()
        process.terminate()
        process.wait(20)


def connection(process, port):
    while process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.05)
    raise AssertionError(f"it ended with {process.returncode}")
