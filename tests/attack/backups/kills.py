"""What is killed in the middle of a command, and when. Each returns whether there was something to kill."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from forked import Child
from homestead import Homestead

_POLL = 0.002  # seconds
_SLOWEST = 20.0  # seconds until a command has come as far as it was awaited to


def worker(_home: Homestead, child: Child, pick: random.Random) -> bool:
    """Only the process that works; its `pg_dump` or scratch server live on."""
    return _after(child, pick) and _kill(child.pid)


def group(_home: Homestead, child: Child, pick: random.Random) -> bool:
    """The process with its `pg_dump` or `pg_restore`, as when the memory is full or somebody closes a terminal."""
    if not _after(child, pick):
        return False
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:  # it leads no group yet, or has just ended
        return False
    return True


def program(_home: Homestead, child: Child, pick: random.Random) -> bool:
    """Its `pg_dump` or `pg_restore` alone."""
    return _kill_when_seen(child, lambda: _programs_of(child.pid), pick)


def backend(home: Homestead, child: Child, pick: random.Random) -> bool:
    """A process of the home's server: PostgreSQL then ends all sessions and recovers."""
    return _after(child, pick) and _kill(pick.choice(_children_of(_postmaster(home.server.root / "data")) or [0]))


def postmaster(home: Homestead, child: Child, pick: random.Random) -> bool:
    """The home's server itself; whoever keeps it running starts it again."""
    killed = _after(child, pick) and _kill(_postmaster(home.server.root / "data"))
    if killed:
        child.wait()
        home.server.start()
    return killed


def scratch(home: Homestead, child: Child, pick: random.Random) -> bool:
    """The throw-away server in which a backup is proved."""
    root = home.server.root
    found = lambda: [pid for one in root.glob("scratch-*/data") if (pid := _postmaster(one))]  # noqa: E731
    return _kill_when_seen(child, found, pick)


KILLS: dict[str, Callable[[Homestead, Child, random.Random], bool]] = {
    "worker": worker,
    "group": group,
    "program": program,
    "backend": backend,
    "postmaster": postmaster,
    "scratch": scratch,
}


def _after(child: Child, pick: random.Random) -> bool:
    """Wait for a part of the time that such a command takes; say whether it still runs."""
    return not child.ended(pick.uniform(0, child.usual))


def _kill_when_seen(child: Child, look: Callable[[], list[int]], pick: random.Random) -> bool:
    deadline = time.monotonic() + _SLOWEST
    while not child.ended(_POLL) and time.monotonic() < deadline:
        if look():
            child.ended(pick.uniform(0, 0.15))
            return _kill(pick.choice(look() or [0]))
    return False


def _kill(pid: int) -> bool:
    try:
        if pid:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return pid != 0


def _postmaster(data: Path) -> int:
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0


def _programs_of(pid: int) -> list[int]:
    return [one for one in _children_of(pid) if _name(one) in {"pg_dump", "pg_restore"}]


def _children_of(pid: int) -> list[int]:
    numbers = (path for path in Path("/proc").iterdir() if path.name.isdigit())
    return [int(path.name) for path in numbers if pid and _parent(path) == pid]


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
