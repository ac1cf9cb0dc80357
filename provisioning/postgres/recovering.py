"""Throw-away instances of a server's own files: started from a base backup, brought by the log to one moment.

They are swept like the other throw-away instances when their process is killed. Nobody but our own account gets in, as
one role that is no superuser.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ...config.settings import Settings
from . import configuration
from .account import Account, current_user
from .cluster import Cluster, physical_memory
from .embedded import EmbeddedServer
from .places import private_folder, socket_dir
from .scratch import ScratchServer, instance_folder

SCRIPT = "fetch.sh"
ASKED, GIVEN, MISSING = "asked", "given", "missing"
# PostgreSQL asks for one piece after the other. It waits as long as the process that gives them lives.
_TEXT = f"""\
#!/bin/sh
while :; do
    [ -e "../{GIVEN}/$1" ] && exec mv -f "../{GIVEN}/$1" "$2"
    [ -e "../{MISSING}/$1" ] && exit 1
    [ -e "../{ASKED}/$1" ] || : > "../{ASKED}/$1" || exit 1
    kill -0 "$PPID" 2>/dev/null || exit 1
    sleep 0.01
done
"""


@dataclass(frozen=True, slots=True)
class Room:
    """The folder of an instance that is about to be started. What is put into it is to belong to `account`."""

    folder: Path
    account: Account

    @property
    def data(self) -> Path:
        """The data folder, empty."""
        return self.folder / "data"

    def asked(self) -> list[str]:
        """Return the pieces of the log that PostgreSQL has asked for and not got yet."""
        asked = sorted(path.name for path in (self.folder / ASKED).iterdir())
        for piece in asked:
            if (self.folder / GIVEN / piece).exists():  # asked for just when it was given
                (self.folder / ASKED / piece).unlink(missing_ok=True)
        return [piece for piece in asked if not (self.folder / GIVEN / piece).exists()]

    def give(self, piece: str, content: bytes) -> None:
        """Hand over a piece of the log; the zeros of one that was ended early take no room."""
        draft = self.folder / f"{piece}.draft"
        with draft.open("wb") as file:
            file.write(content.rstrip(b"\0"))
            file.truncate(len(content))
        draft.chmod(0o600)
        self.account.own(draft)
        draft.replace(self.folder / GIVEN / piece)
        (self.folder / ASKED / piece).unlink(missing_ok=True)

    def stock(self) -> int:
        """Return how many pieces are there that PostgreSQL has not taken yet."""
        return len(list((self.folder / GIVEN).iterdir()))

    def refuse(self, piece: str) -> None:
        """Say that there is no such piece."""
        (self.folder / MISSING / piece).touch()
        (self.folder / ASKED / piece).unlink(missing_ok=True)


Fill = Callable[[Room], None]
Feed = Callable[[Room], AbstractContextManager[None]]


@contextmanager
def recovering(settings: Settings, role: str, until: datetime, fill: Fill, feed: Feed) -> Generator[ScratchServer]:
    """Yield an instance of the files that `fill` puts in its place, with the log that `feed` gives it up to `until`.

    The log may be fetched while the files still are. Connect to it as `role`. Raises what `fill` and `feed` raise,
    `UnavailableError` with the server's own reason.
    """
    home = EmbeddedServer(settings)
    with instance_folder(home) as folder:
        room = _prepare(folder, home.account)
        with feed(room):
            fill(room)
            server = _start(room, home.bindir, role, until)
        yield server


def _prepare(folder: Path, account: Account) -> Room:
    room = Room(folder, account)
    for name in (room.data.name, ASKED, GIVEN, MISSING):
        private_folder(folder / name, account)
    script = folder / SCRIPT
    script.write_text(_TEXT, encoding="utf-8")
    script.chmod(0o600)
    account.own(script)
    return room


def _start(room: Room, bindir: Path, role: str, until: datetime) -> ScratchServer:
    cluster = Cluster(room.data, bindir, room.account)
    for name in ("recovery.signal", "postgresql.auto.conf"):  # what ALTER SYSTEM has set is for the real one
        file = room.data / name
        file.write_bytes(b"")
        room.account.own(file)
    socket = private_folder(socket_dir(room.folder, room.folder / "s", room.account), room.account)
    cluster.configure(
        configuration.throw_away_settings_text(socket, physical_memory())
        + configuration.recovery_settings_text(SCRIPT, until),
        configuration.throw_away_hba_text(role),
        configuration.ident_text(current_user(), role),
    )
    cluster.start(room.folder / "log")
    return ScratchServer(room.folder, socket, bindir, user=role)
