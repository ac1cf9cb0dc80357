"""A recovery where the settings name several stores: one bad copy is no bad backup."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strongroom.backup import catalogue, runs
from strongroom.backup.copy_checks import Copy, mark_checked
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.recovery.workspaces import restore_from_any_store
from strongroom.backup.scratch import ScratchPool
from strongroom.config.errors import VerificationError
from strongroom.config.stores import StoreSettings
from strongroom.platform.control.platform import Platform

Workspace = Any  # of conftest.py, which no test can import


@pytest.fixture
def two_stores(platform: Platform, tmp_path: Path) -> Platform:
    stores = tuple(StoreSettings(name, (tmp_path / name).as_uri()) for name in ("here", "there"))
    return replace(platform, settings=replace(platform.settings, backup_store=stores))


@pytest.fixture
def backup(two_stores: Platform, scratch: ScratchPool, workspace: Workspace) -> Backup:
    (outcome,) = runs.run_many(two_stores, [workspace.id], scratch=scratch)
    assert outcome.backup is not None
    here, there = (store.folder for store in two_stores.settings.backup_store)
    shutil.copytree(here, there)
    with two_stores.control.begin() as conn:
        mark_checked(conn, Copy(outcome.backup, "there"), datetime.now(UTC))
    return outcome.backup


def test_the_next_store_is_asked_when_one_gives_a_damaged_copy(
    two_stores: Platform, workspace: Workspace, backup: Backup, tmp_path: Path, flip: Callable[[Path], None]
) -> None:
    flip(tmp_path / "here" / "store" / (backup.object or ""))
    assert restore_from_any_store(two_stores, workspace.slug, backup, "operator").backup.id == backup.id
    with two_stores.control.connect() as conn:
        assert catalogue.by_id(conn, backup.id).state is BackupState.VERIFIED
    flip(tmp_path / "there" / "store" / (backup.object or ""))
    with pytest.raises(VerificationError):
        restore_from_any_store(two_stores, workspace.slug, backup, "operator")
    with two_stores.control.connect() as conn:
        assert catalogue.by_id(conn, backup.id).state is BackupState.FAILED
