"""The spool: where PostgreSQL leaves finished pieces of its log until our archiver has put them into the store.

PostgreSQL runs under another account when we are root, which reads none of our keys. So its `archive_command` is a
shell script of a few lines that copies a piece into a folder beside the data, durably; what is in that folder is ours
to encrypt and store. As long as there is no such folder nobody wants the log, and the script lets it go.
"""

import shutil
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ...config.settings import Settings
from .account import Account
from .locks import is_held
from .places import private_folder

SCRIPT = "archive.sh"
_FOLDER = "log-spool"
_GAP = "gap"
_LEAST_FREE_KB = 256 * 1024

# dd: one program that copies, leaves the zeros of a piece that was ended early unwritten, and syncs.
# The last resort on a disk that fills up: let the log go and write down that it has a gap, so that PostgreSQL lives.
_TEXT = f"""\
#!/bin/sh
# Written by Strongroom at every start. PostgreSQL runs it in its data folder, with the path and the name of a finished
# piece of its log. 0: the piece is safe in the spool, or nobody wants it; anything else: PostgreSQL keeps it.
spool=../{_FOLDER}
[ -d "$spool" ] || exit 0
if [ -e "$spool/$2" ]; then
    cmp -s "$1" "$spool/$2" && sync "$spool"
    exit
fi
free=$(df -Pk . | awk 'NR == 2 {{ print $4 }}')
if [ "${{free:-0}}" -lt {_LEAST_FREE_KB} ]; then
    echo "The disk is nearly full: the piece $2 of the log is not archived." >&2
    : > "$spool/.{_GAP}"
    exit 0
fi
draft="$spool/.$2.new"
dd if="$1" of="$draft" bs=65536 conv=sparse,fsync 2>/dev/null &&
    mv "$draft" "$spool/$2" &&
    sync "$spool"
"""


@dataclass(frozen=True, slots=True)
class Spool:
    """The spool of an embedded server whose data folder is `root/data`."""

    root: Path
    account: Account

    @property
    def folder(self) -> Path:
        """Where the pieces lie, each under its own name."""
        return self.root / _FOLDER

    def write_script(self) -> None:
        """Put the script where the server's configuration says that it is."""
        path = self.root / SCRIPT
        draft = path.with_name(f"{SCRIPT}.new")
        draft.write_text(_TEXT, encoding="utf-8")
        draft.chmod(0o600)
        self.account.own(draft)
        draft.replace(path)

    def is_open(self) -> bool:
        """Say whether the log is wanted."""
        return self.folder.is_dir()

    def open(self) -> None:
        """Have every piece from now on kept until it is archived."""
        private_folder(self.folder, self.account)

    def close(self) -> None:
        """Have nothing kept any more, and let go of what waits."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def waiting(self) -> list[Path]:
        """Return the pieces that are not archived yet, the oldest first."""
        if not self.is_open():
            return []
        return sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))

    def oldest(self) -> datetime | None:
        """Return since when the oldest piece waits, here or with PostgreSQL; None if nothing does."""
        if not self.is_open():
            return None
        ready = list((self.root / "data" / "pg_wal" / "archive_status").glob("*.ready"))
        times = [_modified(path) for path in (*self.waiting(), *ready)]
        return min((time for time in times if time is not None), default=None)

    def lag(self, now: datetime) -> timedelta:
        """Return how long the oldest piece has been waiting."""
        oldest = self.oldest()
        return now - oldest if oldest else timedelta()

    def gap_since(self) -> datetime | None:
        """Return when the log was let go because the disk was nearly full; None if it is whole."""
        return _modified(self.folder / f".{_GAP}")

    def forget_gap(self) -> None:
        """A new base backup begins a new log."""
        (self.folder / f".{_GAP}").unlink(missing_ok=True)

    def system_id(self) -> str:
        """Return the identifier of the server's data, which every piece carries: no two servers have the same."""
        with (self.root / "data" / "global" / "pg_control").open("rb") as file:
            return str(struct.unpack("<Q", file.read(8))[0])


def archiver_lock(settings: Settings) -> Path:
    """Return the file that the one archiver of a home holds a lock on."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    return settings.run_dir / "archiver.lock"


def is_archiving(settings: Settings) -> bool:
    """Say whether an archiver is at work."""
    return is_held(archiver_lock(settings))


def _modified(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
