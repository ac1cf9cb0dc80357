"""A home and its key store; nothing of it is used by two tests."""

from pathlib import Path

import pytest

from strongroom.config.settings import Settings
from strongroom.platform.keys import KeyStore


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", backup_root=tmp_path / "backups")


@pytest.fixture
def store(settings: Settings) -> KeyStore:
    return KeyStore.create(settings)
