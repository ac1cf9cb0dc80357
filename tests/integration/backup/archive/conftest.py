"""A home of its own whose log is archived: one base backup, then workspaces that live on."""

from collections.abc import Generator
from pathlib import Path

import pytest
from disposable_server import disposable_server

from strongroom.backup.archive.base import run_base_backup
from strongroom.config.settings import Settings, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.servers.bases import BaseBackup


@pytest.fixture(scope="session")
def backup_settings(reachable_tmp: Path) -> Generator[Settings]:
    """As the fixture above it, in another home: only here PostgreSQL keeps its log."""
    home = reachable_tmp / "archive" / "home"
    home.mkdir(parents=True)
    settings = load_settings(home, bcrypt_cost=4, spare_databases=0)
    with disposable_server(settings):
        yield settings


@pytest.fixture(scope="session")
def platform(backup_settings: Settings) -> Generator[Platform]:
    with open_platform(backup_settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def base(platform: Platform) -> BaseBackup:
    """A base backup: whatever happens from then on can be had back. A new one leaves less log to replay."""
    return run_base_backup(platform)
