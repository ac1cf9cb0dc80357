import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from strongroom.platform.audit import queries as audit
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.requests import register_tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning import create as create_module
from strongroom.provisioning.building import provisioner_sessions
from strongroom.provisioning.bulk import making
from strongroom.provisioning.bulk.making import Kind
from strongroom.provisioning.bulk.rows import Row
from strongroom.tenant_schema.queries.settings import base_currency
from strongroom.tenant_schema.tables import expense

SPENDING = "date,merchant,amount,category\n2024-03-01,Lantern Bistro,48.90,Meals\n2024-03-02,Hotel,-10.00,Travel\n"


class List:
    """A list of workspaces in a file of its own, with one file of expenses beside it."""

    def __init__(self, folder, count, **more):
        (folder / "spent.csv").write_text(SPENDING, encoding="utf-8")
        self.path = folder / "list.csv"
        self.mark = new_id()[:8]
        self.rows = [self.row(number) | more for number in range(count)]
        self.write()

    def row(self, number):
        slug = f"b{number}-{self.mark}"
        return {"slug": slug, "name": f"Bulk {number}", "owner": f"owner@{slug}.example"}

    def write(self):
        with self.path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    @property
    def slugs(self):
        return [row["slug"] for row in self.rows]


@pytest.fixture
def make_list(tmp_path):
    return lambda count, **more: List(tmp_path, count, **more)


@pytest.fixture
def create(as_json):
    def run(source, *more):
        parallel = () if "--parallel" in more else ("--parallel", "1")
        return as_json("tenant", "create", "--from", str(source.path), *parallel, *more)

    return run


@pytest.fixture
def row():
    slug = f"b-{new_id()}"
    return Row(2, slug, "Bulk", f"owner@{slug}.example", "free", "uk")


def make(platform, row):
    """What becomes of a row in this process."""
    with provisioner_sessions(platform) as sessions:
        return making.make_one(platform, sessions, row, "somebody")


def states(platform, slugs):
    with platform.control.connect() as conn:
        known = {tenant.slug: tenant.state for tenant in tenants.list_all(conn)}
    return [known.get(slug) for slug in slugs]


def counts(document):
    return {name: document[name] for name in ("created", "continued", "already_there", "refused", "failed")}


def outcome(**wanted):
    return dict.fromkeys(("created", "continued", "already_there", "refused", "failed"), 0) | wanted


def test_a_list_becomes_workspaces_with_their_spending_and_a_repeat_does_nothing(
    create, as_json, platform, make_list, tmp_path
):
    source = make_list(4, plan="team", currency="USD", expenses="spent.csv")
    pending = source.slugs[3]
    row = source.rows[3]
    asked = ("tenant", "create", pending, "--name", row["name"], "--owner", row["owner"], "--plan", "team")
    assert as_json(*asked)[0] == 0
    code, document = create(source, "--parallel", "2", "--report", str(tmp_path / "report.csv"))
    assert (code, counts(document)) == (0, outcome(created=3, continued=1)), document
    assert (document["rows"], document["expenses"], document["failures"]) == (4, 8, [])
    for slug in source.slugs:
        with platform.control.connect() as conn:
            tenant = tenants.by_slug(conn, slug)
            actions = {entry.action for entry in audit.newest(conn, tenant_id=tenant.id)}
        assert tenant.plan == "team"
        assert actions == {"tenant.created", "tenant.loaded"}
        with platform.registry.connect(tenant) as conn, conn.begin():
            assert conn.scalar(select(func.count()).select_from(expense)) == 2
            assert base_currency(conn) == "USD"
    with (tmp_path / "report.csv").open(encoding="utf-8") as file:
        report = list(csv.DictReader(file))
    assert [(line["slug"], line["expenses"]) for line in report] == [(slug, "2") for slug in source.slugs]
    code, document = create(source)
    assert (code, counts(document), document["expenses"]) == (0, outcome(already_there=4), 0)


def test_what_is_wrong_with_a_list_is_said_line_by_line_and_nothing_is_done(create, strongroom, platform, make_list):
    source = make_list(7, plan="", expenses="")
    source.rows[1]["slug"] = "No Slug"
    source.rows[2] |= {"owner": "nobody", "plan": "gold"}
    source.rows[3]["slug"] = source.rows[0]["slug"]
    source.rows[4]["expenses"] = "../elsewhere.csv"
    source.rows[5]["expenses"] = "bad.csv"
    source.rows[6]["name"] = ""
    source.write()
    (source.path.parent / "bad.csv").write_text(SPENDING + "yesterday,X,1,Meals\n", encoding="utf-8")
    code, document = create(source)
    assert (code, document["done"]) == (2, 0)
    assert [wrong["line"] for wrong in document["wrong"]] == [3, 4, 4, 5, 6, 7, 8]
    assert "line 4" in document["wrong"][5]["sentence"]
    code, out, err = strongroom("tenant", "create", "--from", str(source.path))
    assert code == 2
    assert out.startswith("line 3: slug: ")
    assert "6 of 7 lines are wrong, so nothing was done." in err
    assert set(states(platform, source.slugs)) == {None}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "slug,name\nacme-x,A\n",
        "slug,name,owner,colour\n",
        "slug,name,owner\n",
        "slug,name,owner,slug\n",
        'slug,name,owner\n"abc,A,o@x.example\n',
        "slug,name,owner\n\0\xff",
    ],
)
def test_a_file_that_is_no_list_is_a_wrong_call(strongroom, tmp_path, text):
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="latin-1")
    code, _, err = strongroom("tenant", "create", "--from", str(path))
    assert code == 2, err


def test_a_line_with_too_few_cells_is_named(strongroom, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("slug,name,owner\n\nonly-this\n", encoding="utf-8")
    code, out, _ = strongroom("tenant", "create", "--from", str(path))
    assert (code, out) == (2, "line 3: This line has more or fewer cells than the header.\n")


def test_options_that_contradict_each_other_are_a_wrong_call(strongroom, make_list):
    source = make_list(1)
    for arguments in (("acme-inc",), ("--name", "A"), ("--owner", "a@b.example")):
        code, _, err = strongroom("tenant", "create", "--from", str(source.path), *arguments)
        assert code == 2
        assert "leave them out" in err
    assert (
        strongroom("tenant", "create", "acme-inc", "--name", "A", "--owner", "a@b.example", "--parallel", "2")[0] == 2
    )
    assert strongroom("tenant", "create", "acme-inc", "--name", "A")[0] == 2


def test_what_contradicts_the_list_is_refused_and_the_rest_is_made(create, platform, make_list, tenant_factory):
    source = make_list(3)
    tenant_factory(source.slugs[0], name="Somebody else", owner_email=source.rows[0]["owner"])
    tenant_factory(source.slugs[1], name=source.rows[1]["name"], owner_email="somebody@else.example")
    code, document = create(source)
    assert (code, counts(document)) == (4, outcome(created=1, refused=2))
    assert [(failure["line"], failure["slug"]) for failure in document["failures"]] == [
        (2, source.slugs[0]),
        (3, source.slugs[1]),
    ]
    assert "another name" in document["failures"][0]["sentence"]
    assert "another owner" in document["failures"][1]["sentence"]


def test_a_plan_or_region_that_has_changed_in_the_list_is_a_contradiction(create, make_list):
    source = make_list(2, plan="pro", region="uk")
    assert create(source)[0] == 0
    source.rows[0]["plan"] = "team"
    source.write()
    code, document = create(source)
    assert (code, counts(document)) == (4, outcome(already_there=1, refused=1))
    assert "another plan" in document["failures"][0]["sentence"]
    for row in source.rows:
        row["plan"] = row["region"] = ""  # the list says nothing, so it contradicts nothing
    source.write()
    assert create(source, "--plan", "team")[0] == 0


def test_a_row_from_another_region_is_a_contradiction(platform, tenant):
    row = Row(2, tenant.slug, tenant.name, f"owner@{tenant.slug}.example", tenant.plan, "eu", named=("region",))
    made = make(platform, row)
    assert (made.kind, "another region" in made.sentence) == (Kind.REFUSED, True)


def test_names_that_no_file_can_have_are_wrong_rows(strongroom, make_list):
    source = make_list(2, expenses="x" * 300)
    source.rows[1]["expenses"] = "a\0b.csv"
    source.write()
    code, out, err = strongroom("tenant", "create", "--from", str(source.path))
    assert code == 2, err
    assert [line.partition(": ")[0] for line in out.splitlines()] == ["line 2", "line 3"]
    assert "there is no file a\N{REPLACEMENT CHARACTER}b.csv beside the list" in out
    assert "x" * 100 not in out


def test_a_report_never_replaces_the_list(strongroom, make_list, tmp_path):
    source = make_list(1)
    before = source.path.read_bytes()
    (tmp_path / "same.csv").symlink_to(source.path)
    for name in (str(source.path), str(tmp_path / "same.csv")):
        code, _, err = strongroom("tenant", "create", "--from", str(source.path), "--report", name)
        assert (code, "would replace the list" in err) == (2, True)
    assert strongroom("tenant", "create", "--from", str(source.path), "--report", "x" * 300)[0] == 2
    assert source.path.read_bytes() == before


def test_a_workspace_in_other_hands_is_cured_by_a_repeat(platform, row, monkeypatch):
    with platform.control.begin() as conn:
        asked = {"slug": row.slug, "name": row.name, "owner_email": row.owner, "plan": row.plan, "region": row.region}
        pending = register_tenant(conn, platform.keys, **asked)
    monkeypatch.setattr(create_module, "PATIENCE", 0.0)
    with create_module.tenant_lock(platform, pending.id):
        busy = make(platform, row)
    assert (busy.kind, "Another worker" in busy.sentence) == (Kind.FAILED, True)
    assert make(platform, row).kind is Kind.CONTINUED


@pytest.mark.parametrize(("module", "step"), [(making.audit, "record"), (making.workspace_settings, "mark_once")])
def test_a_session_that_the_server_ends_is_a_failure_that_a_repeat_cures(platform, row, monkeypatch, module, step):
    def ended(conn, *_):
        conn.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    row = replace(row, currency="USD")
    with monkeypatch.context() as broken:
        broken.setattr(module, step, ended)
        failed = make(platform, row)
    assert (failed.kind, failed.sentence) == (
        Kind.FAILED,
        "The database server refused a step or went away; repeat the command.",
    )
    assert make(platform, row).kind in {Kind.CREATED, Kind.THERE}


def test_of_two_runs_at_once_the_slower_goes_on_with_what_the_other_asked_for(platform, row):
    barrier = threading.Barrier(2)

    def one(_number):
        barrier.wait()
        return make(platform, row)

    with ThreadPoolExecutor(2) as pool:
        kinds = {made.kind for made in pool.map(one, range(2))}
    assert Kind.CREATED in kinds
    assert kinds <= {Kind.CREATED, Kind.CONTINUED, Kind.THERE}


def test_expenses_that_have_changed_since_are_not_loaded_a_second_time(create, make_list):
    source = make_list(1, expenses="spent.csv")
    assert create(source)[0] == 0
    (source.path.parent / "spent.csv").write_text(SPENDING + "2024-03-03,X,1.00,Meals\n", encoding="utf-8")
    code, document = create(source)
    assert (code, document["expenses"]) == (4, 0)
    assert "other expenses" in document["failures"][0]["sentence"]


def test_a_reason_outside_is_reported_and_cured_by_a_repeat(create, make_list, embedded_server, tmp_path):
    source = make_list(2)
    report = tmp_path / "report.csv"
    with embedded_server.connect_admin() as admin:
        admin.execute("ALTER ROLE strongroom_provisioner NOLOGIN")
        try:
            code, document = create(source, "--report", str(report))
        finally:
            admin.execute("ALTER ROLE strongroom_provisioner LOGIN")
    assert (code, counts(document)) == (1, outcome(failed=2))
    assert report.read_text(encoding="utf-8").count("cannot be reached") == 2
    code, document = create(source)
    assert (code, counts(document)) == (0, outcome(continued=2))


class Running:
    """The command in a process of its own, until it has made one workspace more."""

    def __init__(self, settings, platform, source, *more):
        command = [sys.executable, "-P", "-m", "strongroom", "--home", str(settings.home), "tenant", "create", "--json"]
        before = states(platform, source.slugs).count(TenantState.ACTIVE)
        ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
        try:
            self.process = subprocess.Popen(
                [*command, "--from", str(source.path), *more],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        finally:
            signal.signal(signal.SIGINT, ours)
        wait_for(lambda: states(platform, source.slugs).count(TenantState.ACTIVE) > before, "nothing was made")

    def workers(self):
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = [int(pid) for pid in path.read_text(encoding="ascii").split()]
        return [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def wait_for(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_whatever_ends_it_ends_it_between_two_workspaces_and_a_repeat_finishes(
    initialised, platform, create, make_list
):
    source = make_list(12, expenses="spent.csv")
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        running = Running(initialised, platform, source, "--parallel", "1")
        workers = running.workers()
        if number is signal.SIGINT:  # from the keyboard it reaches every process
            os.killpg(running.process.pid, number)
        else:
            running.process.send_signal(number)
        _, err = running.process.communicate(timeout=60)
        assert running.process.returncode == code, err
        wait_for(lambda: not any(map(alive, workers)), "a worker went on")  # noqa: B023 - called at once
        assert "Traceback" not in err
        assert ("repeat" in err) == (code > 0)
        assert TenantState.PENDING not in states(platform, source.slugs)
    running = Running(initialised, platform, source)
    os.kill(running.workers()[0], signal.SIGKILL)
    out, err = running.process.communicate(timeout=60)
    document = json.loads(out)
    assert running.process.returncode == 1, err
    assert (document["done"], document["failed"]) == (12, 1)
    assert "-9" in document["failures"][0]["sentence"]
    code, document = create(source)
    assert (code, document["failed"] + document["refused"]) == (0, 0)
    assert set(states(platform, source.slugs)) == {TenantState.ACTIVE}
    with platform.control.connect() as conn:
        made = [tenants.by_slug(conn, slug) for slug in source.slugs]
    for tenant in made:
        with platform.registry.connect(tenant) as conn, conn.begin():
            assert conn.scalar(select(func.count()).select_from(expense)) == 2
