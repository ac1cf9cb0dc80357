"""One workspace back to a moment between two transactions; all others go on."""

import time
from datetime import UTC, datetime
from typing import Any

from strongroom.backup.archive.moment import restore_at
from strongroom.platform.servers.bases import BaseBackup

Workspace = Any  # of conftest.py above, which no test can import


def now() -> datetime:
    """A moment that no transaction has: after all that is committed, before all that will be."""
    time.sleep(0.01)
    moment = datetime.now(UTC)
    time.sleep(0.01)
    return moment


def test_what_was_committed_until_then_is_there_and_nothing_after_it(base: BaseBackup, workspace: Workspace) -> None:
    workspace.spend("Until")
    moment = now()
    workspace.spend("After")
    done = restore_at(workspace.platform, workspace.slug, moment)
    assert workspace.merchants() == ["Before", "Until"]
    assert done.rows > 0
