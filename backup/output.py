"""How the commands around backups show what they have, and where they are."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from ..platform.console.invocation import Invocation
from .progress import Event, Progress
from .records import Backup

LISTED = {
    "id": "BACKUP",
    "tenant": "WORKSPACE",
    "state": "STATE",
    "started_at": "STARTED",
    "bytes": "BYTES",
}


def backup_row(one: Backup) -> dict[str, Any]:
    """What the command line says about a backup."""
    return {
        "id": one.id,
        "tenant": one.label,
        "kind": one.kind,
        "state": one.state,
        "started_at": one.started_at,
        "finished_at": one.finished_at,
        "bytes": one.size,
        "sha256": one.sha256,
        "object": one.object,
        "schema_revision": one.schema_revision,
        "receipts_lost": one.receipts_lost,
    }


@contextmanager
def spoken_progress(invocation: Invocation, title: str) -> Generator[Progress]:
    """Show the events of the block as progress on standard error."""
    with invocation.output.progress(title) as advance:
        yield _spoken(advance)


def _spoken(advance: Callable[[str], None]) -> Progress:
    def progress(event: Event) -> None:
        advance(str(event))

    return progress
