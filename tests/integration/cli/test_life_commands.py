"""The commands that change a whole workspace say what they did, and refuse with the contract's exit codes."""

from strongroom.platform.tenants.ids import new_id


def test_rename_asks_and_says_that_members_sign_in_again(strongroom, as_json, tenant) -> None:
    new_slug = f"r-{new_id()}"
    code, _, error = strongroom("tenant", "rename", tenant.slug, new_slug)
    assert (code, "--yes" in error) == (2, True)
    code, out, _ = strongroom("tenant", "rename", tenant.slug, new_slug, "--yes")
    assert (code, "sign in again" in out) == (0, True)
    assert strongroom("tenant", "rename", new_slug, "admin", "--yes")[0] == 2
    assert strongroom("tenant", "rename", tenant.slug, "elsewhere", "--yes")[0] == 3
    code, row = as_json("tenant", "show", new_slug)
    assert (code, row["id"]) == (0, tenant.id)


def test_clone_prints_the_new_workspace(as_json, tenant) -> None:
    slug = f"c-{new_id()}"
    code, row = as_json("tenant", "clone", tenant.slug, slug, "--name", "Twin", "--owner", "ann@twin.example")
    assert (code, row["slug"], row["name"], row["state"], row["owner_invited"]) == (0, slug, "Twin", "active", True)
    assert as_json("tenant", "clone", tenant.slug, slug)[0] == 4


def test_move_refuses_what_does_not_exist_and_does_nothing_where_it_is(as_json, tenant) -> None:
    assert as_json("tenant", "move", tenant.slug, "--server", "nowhere")[0] == 3
    code, row = as_json("tenant", "move", tenant.slug, "--server", tenant.server)
    assert (code, row["server"], row["retired_placement"]) == (0, tenant.server, None)


def test_fleet_commands_say_that_nothing_is_to_be_done(as_json, tenant) -> None:
    code, report = as_json("fleet", "migrate", "--canary", "1")
    assert (code, report["upgraded"], report["failed"], report["left"]) == (0, 0, [], 0)
    assert report["already_current"] > 0
    code, status = as_json("fleet", "status")
    assert (code, status["behind"], status["newest"]) == (0, 0, report["revision"])


def test_fleet_migrate_checks_its_options(strongroom) -> None:
    assert strongroom("fleet", "migrate", "--parallel", "0")[0] == 2
