"""What stands in PostgreSQL's configuration files."""

from pathlib import Path

import pytest

from strongroom.provisioning.postgres import configuration

GIB = 2**30


@pytest.mark.parametrize(("gib", "connections"), [(0.5, 100), (4, 100), (16, 400), (24, 600), (512, 600)])
def test_connections_are_sized_by_memory(gib: float, connections: int) -> None:
    assert configuration.max_connections(int(gib * GIB)) == connections


@pytest.mark.parametrize(("gib", "mebibytes"), [(0.25, 64), (2, 256), (24, 3072), (512, 4096)])
def test_buffers_are_an_eighth_of_the_memory_and_small_where_data_is_thrown_away(gib: float, mebibytes: int) -> None:
    served = configuration.settings_text(Path("/s"), int(gib * GIB))
    thrown_away = configuration.throw_away_settings_text(Path("/s"), int(gib * GIB))
    assert last_setting(served, "shared_buffers") == f"{mebibytes}MB"
    assert last_setting(thrown_away, "shared_buffers") == "128MB"


def last_setting(text: str, name: str) -> str:
    """The value that counts: PostgreSQL takes the last one."""
    return [line.partition(" = ")[2] for line in text.splitlines() if line.startswith(f"{name} =")][-1]


def test_statements_and_values_stay_out_of_the_log() -> None:
    lines = configuration.settings_text(Path("/run/s"), 8 * GIB).splitlines()
    for line in ("log_statement = none", "log_min_error_statement = panic", "log_error_verbosity = terse"):
        assert line in lines
    assert "listen_addresses = ''" in lines


def test_a_quote_in_a_folder_name_is_doubled() -> None:
    assert "unix_socket_directories = '/it''s'" in configuration.settings_text(Path("/it's"), GIB)


def test_only_throw_away_instances_may_lose_data() -> None:
    assert "fsync = off" not in configuration.settings_text(Path("/s"), GIB)
    assert "fsync = off" in configuration.throw_away_settings_text(Path("/s"), GIB)


def test_the_first_matching_rule_is_the_narrowest_and_the_last_refuses() -> None:
    rules = [line.split() for line in configuration.hba_text().splitlines() if not line.startswith("#")]
    assert all(rule[0] == "local" for rule in rules)
    assert [rule[1:4] for rule in rules if rule[2] == "+tenant_logins"] == [
        ["sameuser", "+tenant_logins", "scram-sha-256"]
    ]
    assert rules[-1] == ["local", "all", "all", "reject"]
    assert not any(method in {"trust", "password", "md5"} for rule in rules for method in rule)


def test_the_superuser_has_a_line_only_while_its_door_is_open() -> None:
    assert "strongroom_admin" not in configuration.hba_text() + configuration.closed_ident_text()
    rules = [line.split() for line in configuration.hba_text(admin_door=True).splitlines() if line[0] != "#"]
    assert rules[0] == ["local", "all", "strongroom_admin", "peer", "map=strongroom"]
    assert configuration.hba_text(admin_door=True).endswith(configuration.hba_text())


def test_one_account_is_mapped_to_the_superuser() -> None:
    rules = [line for line in configuration.ident_text('o"dd').splitlines() if not line.startswith("#")]
    assert rules == ['strongroom "o""dd" strongroom_admin']
