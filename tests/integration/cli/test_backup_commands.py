import pytest


@pytest.fixture
def backed_up(as_json, tenant):
    code, (row,) = as_json("backup", "run", tenant.slug)
    assert (code, row["state"]) == (0, "verified")
    return tenant, row


def test_a_run_leaves_a_verified_backup_that_list_and_show_know(as_json, backed_up):
    tenant, row = backed_up
    code, rows = as_json("backup", "list", tenant.slug)
    assert code == 0
    assert [one["id"] for one in rows] == [row["id"]]
    assert set(rows[0]) >= {
        "id", "tenant", "state", "started_at", "finished_at", "bytes", "sha256", "object", "schema_revision",
    }  # fmt: skip
    assert as_json("backup", "show", row["id"])[1]["manifest"]


def test_a_backup_is_verified_again(as_json, backed_up):
    _, row = backed_up
    code, (verified,) = as_json("backup", "verify", row["id"])
    assert (code, verified["state"]) == (0, "verified")


def test_a_damaged_backup_fails_verification_with_5(as_json, backed_up, initialised):
    _, row = backed_up
    stored = initialised.local_store_dir / row["object"]
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.chmod(0o600)
    stored.write_bytes(content)
    assert as_json("backup", "verify", row["id"])[0] == 5


def test_a_restore_in_place_gets_another_database(as_json, backed_up):
    tenant, row = backed_up
    code, restored = as_json("backup", "restore", tenant.slug, "--yes")
    assert (code, restored["backup"]) == (0, row["id"])
    assert restored["database"] != tenant.database
    assert restored["state"] == "active"


def test_a_restore_as_another_workspace_leaves_the_first(as_json, backed_up):
    tenant, _ = backed_up
    code, restored = as_json("backup", "restore", tenant.slug, "--as", f"{tenant.slug[:10]}-copy")
    assert (code, restored["slug"]) == (0, f"{tenant.slug[:10]}-copy")
    assert as_json("tenant", "show", tenant.slug)[1]["database"] == tenant.database


def test_a_restore_in_place_needs_yes_where_nobody_can_be_asked(strongroom, backed_up):
    assert strongroom("backup", "restore", backed_up[0].slug)[0] == 2


@pytest.mark.parametrize("arguments", [("run",), ("run", "--due", "--all"), ("verify",), ("verify", "x", "--all")])
def test_it_must_be_said_which(as_json, arguments):
    assert as_json("backup", *arguments)[0] == 2


def test_isolation_and_servers_are_verified(as_json, tenant):
    code, report = as_json("isolation", "verify", "--live", "1")
    assert (code, report["passed"], report["attacked"] >= 1) == (0, True, True)
    code, last = as_json("isolation", "show")
    assert (code, last["report"]["attempts"], last["problems"]) == (0, report["attempts"], [])
    code, earlier = as_json("isolation", "history", "--limit", "2")
    assert (code, earlier[0]["at"]) == (0, last["at"])
    code, servers = as_json("server", "list")
    assert code == 0
    assert set(servers[0]) >= {"name", "host", "port", "region", "tenants"}
    code, checked = as_json("server", "check", servers[0]["name"])
    assert (code, checked["findings"]) == (0, [])
    code, mended = as_json("server", "check", servers[0]["name"], "--repair", "--yes")
    assert (code, mended["findings"]) == (0, [])
    assert as_json("server", "check", servers[0]["name"], "--repair")[0] == 2  # nobody can be asked
