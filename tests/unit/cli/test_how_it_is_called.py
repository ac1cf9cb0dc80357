"""What `up` tells people to type afterwards."""

from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.config.settings import load_settings
from strongroom.service import _program


def test_the_settings_of_the_folder_it_was_called_in_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = load_settings(tmp_path / "elsewhere")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "strongroom.toml").write_text("= what", encoding="utf-8")
    monkeypatch.delenv("STRONGROOM_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert _program(elsewhere).endswith(f" --home {elsewhere.home}")
    assert "--home" not in _program(replace(elsewhere, home=tmp_path / "var"))
