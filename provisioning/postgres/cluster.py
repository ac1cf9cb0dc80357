"""One data folder and its server process: make, configure, start, stop."""

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ...config.errors import UnavailableError
from . import postmaster
from .account import Account
from .configuration import SUPERUSER
from .programs import explain, run_program

_START_SECONDS = 600  # of silence: the checkpoint that ends the replay of a long log says nothing of itself
_STOP_SECONDS = 300  # what hundreds of new databases have written takes its time on a busy disk
_RETRY_SECONDS = 10  # children of a killed server hold its shared memory for a moment
_IN_USE = ("lock file", "shared memory block", "is already in use")


@dataclass(frozen=True, slots=True)
class Cluster:
    """PostgreSQL's word for a data folder with all its databases."""

    data: Path
    bindir: Path
    account: Account

    def exists(self) -> bool:
        """Say whether the data folder was made completely."""
        return (self.data / "PG_VERSION").exists()

    def create(self, *options: str) -> None:
        """Make the data folder, all or nothing: in a draft beside it that is renamed at the end."""
        draft = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self.account.own(draft)
        run_program(
            [
                self.bindir / "initdb",
                f"--pgdata={draft}",
                f"--username={SUPERUSER}",
                "--auth=peer",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                *options,
            ],
            self.account.keywords,
        )
        draft.rename(self.data)

    def configure(self, settings: str, hba: str, ident: str) -> None:
        """Write the configuration files; it counts from the next start."""
        self._write("postgresql.conf", settings)
        self.write_rules(hba, ident)

    def write_rules(self, hba: str, ident: str) -> None:
        """Write who may connect; it counts from the next start, or when a running server has read it (`reload`)."""
        self._write("pg_ident.conf", ident)
        self._write("pg_hba.conf", hba)

    def rules(self) -> str:
        """Return what stands in pg_hba.conf; nothing when there is none."""
        try:
            return (self.data / "pg_hba.conf").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def reload(self) -> None:
        """Have a running server read its configuration again; it does so in its own time."""
        postmaster.send(self.data, signal.SIGHUP)

    def is_running(self) -> bool:
        """Say whether the server process lives."""
        return postmaster.running_pid(self.data) is not None

    def start(self, log: Path) -> None:
        """Start the server and wait until it accepts connections; its words are added to the file `log`.

        The caller holds a lock, so that one process starts it. Raises `UnavailableError` with the server's own reason.
        """
        deadline = time.monotonic() + _RETRY_SECONDS
        while True:
            postmaster.remove_stale_pid_file(self.data)
            with log.open("ab") as words:
                begin = words.tell()
                pid = postmaster.spawn(self.bindir, self.data, self.account, words)
            if postmaster.wait_until_ready(pid, self.data, _START_SECONDS, log):
                return
            said = _read_from(log, begin)
            if time.monotonic() > deadline or not any(phrase in said for phrase in _IN_USE):
                raise UnavailableError(explain("PostgreSQL", said))
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server: clients are disconnected, everything is written. Does nothing if it is not running."""
        postmaster.end(self.data, signal.SIGINT, _STOP_SECONDS)  # PostgreSQL's “fast shutdown”
        postmaster.end(self.data, signal.SIGQUIT, 5)  # without consent: its log is replayed at the next start

    def _write(self, name: str, text: str) -> None:
        draft = self.data / f"{name}.new"
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o600)
        self.account.own(draft)
        draft.replace(self.data / name)


def _read_from(path: Path, begin: int) -> str:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(64 * 1024).decode("utf-8", "replace")


def physical_memory() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
