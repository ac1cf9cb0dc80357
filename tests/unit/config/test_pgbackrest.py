from pathlib import Path
from typing import Any

import pytest

from strongroom.config.errors import CallError
from strongroom.config.pgbackrest import CONFIG, Stanza
from strongroom.config.settings import SETTINGS_FILE, load_settings


def settings_with(home: Path, text: str) -> tuple[Stanza, ...]:
    (home / SETTINGS_FILE).write_text(text)
    return load_settings(home).pgbackrest


def test_a_table_for_each_server_names_its_stanza(tmp_path: Path) -> None:
    text = '[[pgbackrest]]\nserver = "one"\nstanza = "main"\n'
    text += '[[pgbackrest]]\nserver = "two"\nstanza = "b"\nconfig = "c.conf"\n'
    assert settings_with(tmp_path, text) == (Stanza("one", "main", CONFIG), Stanza("two", "b", tmp_path / "c.conf"))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "needs the name of a server"),
        ('server = "one"', "needs the name of a server"),
        ('server = "one"\nstanza = "--main;"', "needs the name of a server"),
        ('server = "one"\nstanza = 3', "cannot be 3"),
        ('server = "one"\nstanza = "main"\nport = "1"', "no setting “port”"),
        ('server = "one"\nstanza = "a"\n[[pgbackrest]]\nserver = "one"\nstanza = "b"', "the same server"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(CallError, match=said):
        settings_with(tmp_path, f"[[pgbackrest]]\n{table}\n")


@pytest.mark.parametrize("value", ['"main"', "[1]"])
def test_it_is_a_list_of_tables(tmp_path: Path, value: Any) -> None:
    with pytest.raises(CallError, match="written as tables"):
        settings_with(tmp_path, f"pgbackrest = {value}\n")
