"""What an erased account wrote stands in the log's archive until the day on its certificate, and not a day longer."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from strongroom.backup.archive import archiver, names, pieces
from strongroom.backup.archive.places import archive_store
from strongroom.backup.archive.window import expired
from strongroom.backup.erasure.erase import erase
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.bases import BaseBackup
from strongroom.platform.tenants.ids import new_id
from strongroom.provisioning.names import BACKUP, CONTROL
from strongroom.provisioning.sessions import open_as

Workspace = Any  # of conftest.py above, which no test can import


def archived(platform: Platform) -> None:
    """Have the log up to now in the archive."""
    with platform.control.connect() as conn:
        server = servers.by_name(conn, "embedded")
    with open_as(platform, server, BACKUP, CONTROL) as session:
        session.execute("SELECT txid_current()")  # an empty piece would not be ended
        row = session.execute("SELECT pg_walfile_name(pg_switch_wal() - 1)").fetchone()
    assert row is not None
    while not any(row[0].lower() in found.name for found in archive_store(platform.settings).list(names.ROOT)):
        archiver.archive_once(platform.settings)


def log(platform: Platform, base: BaseBackup, days: list[str]) -> Iterator[bytes]:
    """Yield every piece of the archived log that the keys of these days open."""
    store, origin = archive_store(platform.settings), pieces.Origin(base.server, base.system_id or "")
    for found in store.list(names.ROOT):
        _, _, _, kind, day, piece = found.name.split("/")
        piece = piece.partition(".age")[0].upper()
        if kind == "wal" and day in days and names.is_segment(piece):
            with store.open(found.name) as file:
                yield pieces.unseal(origin, piece, file.read(), platform.keys.archive(day))


def test_the_log_is_readable_until_the_date_on_the_certificate(
    platform: Platform, base: BaseBackup, workspace: Workspace
) -> None:
    canary = f"merchant-{new_id()}"
    workspace.spend(canary)
    archived(platform)
    document = erase(platform, workspace.slug, "olga").document
    archived(platform)
    ends = datetime.fromisoformat(document["last_log_key_destroyed_at"])
    days = platform.keys.archive_days()
    content = list(log(platform, base, days))
    assert any(canary.encode() in piece for piece in content), "plain columns stand in the log"
    for sealed in workspace.canaries:
        assert not any(sealed in piece for piece in content), "what is sealed does not"
    dead = expired([base], days, platform.settings.point_in_time_days, ends).days
    assert list(log(platform, base, [day for day in days if day not in dead])) == []
    (said,) = [one for one in document["remains"] if one["what"] == "archive of the database log"]
    assert said["until"] == document["last_log_key_destroyed_at"]
