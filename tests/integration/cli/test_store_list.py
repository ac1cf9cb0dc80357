def test_list_shows_every_store_of_the_settings_and_what_it_holds(as_json, strongroom, tenant):
    assert as_json("backup", "run", tenant.slug)[0] == 0
    code, (row,) = as_json("store", "list")
    assert (code, row["name"], row["kind"], row["reachable"], row["failure"]) == (0, "local", "file", True, None)
    assert (row["pending"], row["oldest_pending_seconds"], row["lock_days"]) == (0, None, None)
    assert row["backups"] >= 1
    assert "REACHABLE" in strongroom("store", "list")[1]
