"""Carries out command lines, each in a process of its own that leads a group of its own, everything imported already.

Reads one JSON order a line: `arguments` of `strongroom` (or one of `WORKS`, see below), and `dies_at`: the number of
the call or return in our own code at which the process kills itself (SIGKILL; 0: never). Answers with two JSON lines:
the process id at once; the wait status, and how many calls and returns there were, when it has ended.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import FrameType

import strongroom
from strongroom import cli, tenant_commands, worker_tasks
from strongroom.backup import commands, copies, restore, tasks  # loaded here, so that no round waits for it
from strongroom.backup.collect import collect
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.tenants import queries as tenants
from strongroom.provisioning.opening import open_home

LOADED = (commands, restore, tasks, tenant_commands, worker_tasks)
_ROOT = f"{Path(strongroom.__file__ or '').resolve().parent}/"
# What a backup, a restore or their clearing up goes through. Not the waiting of the server's start.
_OURS = tuple(f"{_ROOT}{part}" for part in ("backup/", "platform/keys/", "platform/tenants/", "provisioning/"))
_NOT = f"{_ROOT}provisioning/postgres/postmaster.py"


class Deathwatch:
    """Counts calls and returns in our code, in all threads, and ends the process at one of them."""

    def __init__(self, dies_at: int) -> None:
        self.seen = 0
        self._dies_at = dies_at
        self._number = count(1)  # its next() is one step for all threads

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """As `sys.setprofile` calls it."""
        if event in {"call", "return"} and _is_ours(frame.f_code.co_filename):
            self.seen = next(self._number)
            if self.seen == self._dies_at:
                os.kill(os.getpid(), signal.SIGKILL)


_known: dict[str, bool] = {}


def _is_ours(path: str) -> bool:
    if path not in _known:
        real = os.path.realpath(path)
        _known[path] = real.startswith(_OURS) and real != _NOT
    return _known[path]


def main() -> None:
    """Fork a process for each order, one after the other."""
    while line := sys.stdin.readline():
        order = json.loads(line)
        told, tells = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(told)
            return _carry_out(order["arguments"], order["dies_at"], tells)
        os.close(tells)
        _say({"pid": child})
        status = os.waitpid(child, 0)[1]
        with os.fdopen(told, "rb") as file:
            _say({"status": os.waitstatus_to_exitcode(status), "calls": int(file.read() or 0)})
    return None


def _say(answer: dict[str, int]) -> None:
    print(json.dumps(answer), flush=True)


def _carry_out(arguments: Sequence[str], dies_at: int, tells: int) -> None:
    os.setsid()
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY)):
        os.dup2(os.open(os.devnull, flags), number)
    watch = Deathwatch(dies_at)
    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        _run(arguments)
    finally:
        os.write(tells, str(watch.seen).encode())


def _run(arguments: Sequence[str]) -> None:
    if arguments[0] in WORKS:
        WORKS[arguments[0]](*map(Path, arguments[1:]))
        return
    sys.argv = ["strongroom", *arguments]
    try:
        cli.main()
    except Exception:
        traceback.print_exc()
        raise


def write(home: Path, journal: Path) -> None:
    """As the web does: count the markers of all workspaces up, and journal what was acknowledged, until killed."""
    with open_platform(load_settings(home), "web") as platform, journal.open("ab", buffering=0) as acknowledged:
        while True:
            with platform.control.connect() as conn:
                everybody = [one for one in tenants.list_all(conn) if one.state == "active"]
            for tenant in everybody:
                with platform.registry.connect(tenant) as conn, conn.begin():
                    number = conn.exec_driver_sql(
                        "UPDATE app.setting SET value = to_jsonb((value #>> '{}')::integer + 1) "
                        "WHERE key = 'marker' RETURNING (value #>> '{}')::integer"
                    ).scalar_one()
                acknowledged.write(f"{tenant.id} {number}\n".encode())


def clear_up(home: Path) -> None:
    """As the worker does once an hour, a day later."""
    with open_home(load_settings(home), "worker") as platform:
        collect(platform, datetime.now(UTC) + timedelta(hours=25))


def replicate(home: Path) -> None:
    """As the worker does: copy to the other stores."""
    with open_home(load_settings(home), "worker") as platform:
        copies.replicate(platform, datetime.now(UTC) + timedelta(hours=2))


WORKS: dict[str, Callable[..., None]] = {"write": write, "clear-up": clear_up, "replicate": replicate}

if __name__ == "__main__":
    main()
