from datetime import datetime

import pytest

from strongroom.platform.audit import queries as audit
from strongroom.platform.tenants.ids import new_id

ROW = {
    "id", "slug", "name", "plan", "region", "server", "database", "state", "schema_revision", "last_backup_at",
    "last_verified_at",
}  # fmt: skip


def new_slug():
    return f"c-{new_id()}"


def create(as_json, slug, *more):
    return as_json("tenant", "create", slug, "--name", "Acme", "--owner", "anna@acme.example", *more)


def test_create_and_wait_gives_an_active_workspace_with_its_invitation(as_json):
    slug = new_slug()
    code, made = create(as_json, slug, "--plan", "pro", "--wait")
    assert code == 0
    assert made["state"] == "active"
    assert made["plan"] == "pro"
    assert made["database"].startswith("t_")
    assert made["url"] == f"https://{slug}.localhost:8443"
    assert made["invitation"].startswith(f"{made['url']}/invitation/")
    shown = as_json("tenant", "show", slug)[1]
    assert shown.pop("retired") == []  # nothing to go back to
    assert shown.items() <= made.items()


def test_create_without_waiting_is_pending_and_has_its_link_already(as_json):
    code, made = create(as_json, new_slug())
    assert (code, made["state"], made["database"]) == (0, "pending", None)
    assert "/invitation/" in made["invitation"]


def test_list_has_every_field_of_the_contract_and_times_with_an_offset(as_json, tenant):
    code, rows = as_json("tenant", "list")
    assert code == 0
    (mine,) = [row for row in rows if row["slug"] == tenant.slug]
    assert set(mine) >= ROW
    assert datetime.fromisoformat(mine["created_at"]).utcoffset() is not None


def test_for_people_the_list_is_a_table_and_what_goes_on_is_said_apart(strongroom, tenant):
    code, out, err = strongroom("tenant", "list")
    assert code == 0
    assert out.splitlines()[0].split("\t")[0] == "WORKSPACE"
    assert any(line.split("\t")[:2] == [tenant.slug, "active"] for line in out.splitlines())
    assert err == ""


@pytest.mark.parametrize("slug", ["Acme", "ab", "a--b", "-abc", "abc-", "www", "a_b", "a" * 41, "ä-b-c", "../x"])
def test_bad_and_reserved_slugs_are_a_wrong_call(strongroom, slug):
    code, out, err = strongroom("tenant", "create", "--name", "X", "--owner", "a@b.example", "--", slug)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_a_taken_slug_is_refused_and_json_says_so_too(as_json, tenant):
    code, document = create(as_json, tenant.slug)
    assert code == 4
    assert document["exit_code"] == 4
    assert "taken" in document["error"]


@pytest.mark.parametrize("more", [("--plan", "gold"), ("--region", "mars")])
def test_unknown_plans_and_regions_are_named_with_what_there_is(as_json, more):
    slug = new_slug()
    code, document = create(as_json, slug, *more)
    assert code == 2
    assert more[1] in document["error"]
    assert as_json("tenant", "show", slug)[0] == 3


def test_a_wrong_owner_address_makes_nothing(as_json):
    slug = new_slug()
    code, _ = as_json("tenant", "create", slug, "--name", "X", "--owner", "no address")
    assert code == 2
    assert as_json("tenant", "show", slug)[0] == 3


def test_what_does_not_exist_is_3(as_json):
    for arguments in (
        ("tenant", "show"),
        ("tenant", "resume"),
        ("backup", "show"),
        ("server", "check"),
        ("backup", "list"),
    ):
        code, document = as_json(*arguments, "nothing-there")
        assert (code, document["exit_code"]) == (3, 3), arguments


def test_suspending_needs_yes_where_nobody_can_be_asked(strongroom, as_json, tenant, platform):
    code, _, err = strongroom("tenant", "suspend", tenant.slug)
    assert code == 2
    assert "--yes" in err
    assert as_json("tenant", "suspend", tenant.slug, "--yes")[1]["state"] == "suspended"
    assert as_json("tenant", "suspend", tenant.slug, "--yes")[0] == 4
    assert as_json("tenant", "resume", tenant.slug)[1]["state"] == "active"
    assert as_json("tenant", "resume", tenant.slug)[0] == 4
    with platform.control.connect() as conn:
        actions = [entry.action for entry in audit.newest(conn, tenant_id=tenant.id)]
    assert actions == ["tenant.resumed", "tenant.suspended"]


def test_a_home_that_was_never_set_up_is_told_what_to_do(capsys, tmp_path):
    from strongroom import cli

    assert cli.run(["--home", str(tmp_path / "nothing"), "tenant", "list"]) == 4
    assert "strongroom init" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


def test_wrong_settings_are_named(capsys, tmp_path):
    from strongroom import cli

    (tmp_path / "strongroom.toml").write_text("https_prot = 1\n")
    assert cli.run(["--home", str(tmp_path), "tenant", "list"]) == 2
    assert "https_prot" in capsys.readouterr().err


def test_init_can_be_repeated(as_json):
    assert as_json("init")[0] == 0


def test_home_may_stand_behind_the_command(initialised, capsys):
    from strongroom import cli

    assert cli.run(["tenant", "list", "--home", str(initialised.home)]) == 0
