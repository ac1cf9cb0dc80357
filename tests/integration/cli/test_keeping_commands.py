import pytest
from sqlalchemy import text

from strongroom.platform.protection import queries as protection
from strongroom.platform.protection.policy import Wishes


@pytest.fixture
def team(platform):
    """The plan team, which has its own policy again afterwards: none."""
    yield "team"
    with platform.control.begin() as conn:
        protection.set_wishes(conn, "team", Wishes())


@pytest.fixture
def backed_up(as_json, tenant):
    code, (row,) = as_json("backup", "run", tenant.slug)
    assert (code, row["state"]) == (0, "verified")
    return tenant, row


def test_a_policy_is_shown_changed_and_taken_back(as_json, team):
    code, rows = as_json("backup", "policy")
    assert (code, [row["plan"] for row in rows]) == (0, ["(settings)", "free", "pro", "team"])
    assert rows[0] | {"plan": "team"} == rows[3]
    code, (row,) = as_json("backup", "policy", team, "--interval", "4", "--days", "90", "--window", "1-5")
    expected = {"interval_hours": 4, "days": 90, "window": "01-05", "own": ["interval", "days", "window"]}
    assert (code, row) == (0, row | expected)
    assert as_json("backup", "policy", team)[1] == [row]
    assert as_json("backup", "policy", team, "--default", "days")[0] == 2  # less would be kept: say --yes
    arguments = ("--default", "days", "--default", "interval", "--window", "any", "--yes")
    code, (row,) = as_json("backup", "policy", team, *arguments)
    assert (code, row) == (0, rows[3])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--days", "9"), 2),
        (("gold",), 3),
        (("gold", "--days", "9"), 3),
        (("team", "--interval", "25"), 2),
        (("team", "--days", "0"), 2),
        (("team", "--window", "6-6"), 2),
        (("team", "--default", "nothing"), 2),
    ],
)
def test_a_wrong_policy_changes_nothing(as_json, team, arguments, expected):
    assert as_json("backup", "policy", *arguments)[0] == expected
    assert as_json("backup", "policy", team)[1][0]["own"] == []


def test_nothing_has_had_its_time_and_a_removal_is_asked_for(as_json, backed_up, platform):
    tenant, row = backed_up
    assert as_json("backup", "prune", tenant.slug, "--dry-run") == (0, [])
    assert as_json("backup", "prune", tenant.slug) == (0, [])
    assert as_json("backup", "run", tenant.slug)[0] == 0
    with platform.control.begin() as conn:
        good = text("UPDATE backup SET state = 'verified', unchanged_since = NULL WHERE tenant_id = :id")
        conn.execute(good, {"id": tenant.id})
        old = text("UPDATE backup SET started_at = started_at - interval '40 days' WHERE id = :id")
        conn.execute(old, {"id": row["id"]})
    code, (planned,) = as_json("backup", "prune", tenant.slug, "--dry-run")
    assert (code, planned["id"], planned["why"]) == (0, row["id"], "older than 30 days")
    assert as_json("backup", "prune", tenant.slug)[0] == 2  # nobody can be asked
    assert [one["id"] for one in as_json("backup", "prune", tenant.slug, "--yes")[1]] == [row["id"]]
    assert row["id"] not in [one["id"] for one in as_json("backup", "list", tenant.slug)[1]]


def test_every_copy_is_read_again(as_json, backed_up, platform, initialised):
    _, row = backed_up
    with platform.control.begin() as conn:  # those of other tests are not looked at
        others = "UPDATE backup SET state = 'failed' WHERE state IN ('stored', 'verified') AND id <> :id"
        conn.execute(text(others), {"id": row["id"]})
    code, (read,) = as_json("backup", "verify", "--all", "--rate", "100")
    assert (code, read["id"], read["store"], read["failure"]) == (0, row["id"], "local", None)
    (initialised.local_store_dir / row["object"]).unlink()
    code, (read,) = as_json("backup", "verify", "--all")
    assert (code, read["state"]) == (5, "failed")
    assert "no object" in read["failure"]
    assert as_json("backup", "show", row["id"])[1]["state"] == "failed"


@pytest.mark.parametrize(
    "arguments", [("x", "--rate", "2"), ("x", "--restore"), ("--restore",), ("--all", "--rate", "0")]
)
def test_what_belongs_to_all_is_refused_for_one(as_json, arguments):
    assert as_json("backup", "verify", *arguments)[0] == 2


def test_a_forged_path_ends_with_5(as_json, backed_up, platform):
    _, row = backed_up
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE backup SET object = '../../etc/passwd' WHERE id = :id"), {"id": row["id"]})
    assert as_json("backup", "restore", backed_up[0].slug, "--backup", row["id"], "--yes")[0] == 5
    assert as_json("backup", "verify", row["id"])[0] == 5
    assert as_json("backup", "show", row["id"])[1]["state"] == "failed"


def test_a_restore_is_undone_by_one_command(as_json, backed_up):
    tenant, _ = backed_up
    assert as_json("backup", "undo", tenant.slug, "--yes")[0] == 3
    code, restored = as_json("backup", "restore", tenant.slug, "--yes")
    assert code == 0
    assert [one["id"] for one in as_json("tenant", "show", tenant.slug)[1]["retired"]] == [
        restored["retired_placement"]
    ]
    assert as_json("backup", "undo", tenant.slug)[0] == 2  # nobody can be asked
    code, undone = as_json("backup", "undo", tenant.slug, "--yes")
    assert (code, undone["database"], undone["placement"]) == (0, tenant.database, restored["retired_placement"])
    assert as_json("backup", "undo", tenant.slug, "--placement", "nope", "--yes")[0] == 3


def test_tables_come_out_for_support(as_json, backed_up, tmp_path):
    tenant, row = backed_up
    path = tmp_path / "for-support.zip"
    code, found = as_json("backup", "extract", tenant.slug, "--table", "category", "--to", str(path))
    assert (code, found["backup"], list(found["rows"])) == (0, row["id"], ["category"])
    assert path.stat().st_size > 100
    assert as_json("backup", "extract", tenant.slug, "--table", "category", "--to", str(path))[0] == 2
    assert as_json("backup", "extract", tenant.slug, "--table", "x", "--to", str(tmp_path / "x.zip"))[0] == 3


def test_a_list_has_pages(as_json, backed_up):
    tenant, row = backed_up
    as_json("backup", "run", tenant.slug)
    newest, *rest = as_json("backup", "list", tenant.slug)[1]
    assert as_json("backup", "list", tenant.slug, "--limit", "1")[1] == [newest]
    assert as_json("backup", "list", tenant.slug, "--before", newest["id"])[1] == rest
    assert [one["id"] for one in rest] == [row["id"]]
    assert as_json("backup", "list", tenant.slug, "--before", "nope")[0] == 3
