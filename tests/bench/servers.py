"""What people run for a whole server today: pgBackRest and Barman, each set up as its documentation says."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debian_server import ADMIN
from repository import Repository

from strongroom.provisioning.postgres import configuration, postmaster
from strongroom.provisioning.postgres.account import current_user
from strongroom.provisioning.postgres.cluster import Cluster, physical_memory
from strongroom.provisioning.postgres.places import private_folder

_LIMIT = 240.0  # seconds for one command of theirs
_BARMAN = """\
[barman]
barman_home = {home}
barman_user = {user}
log_file = {home}/barman.log
log_level = WARNING
configuration_files_directory = {home}/conf.d
path_prefix = {bindir}

[bench]
description = bench
conninfo = host={socket} port={port} user={admin} dbname=postgres
streaming_conninfo = host={socket} port={port} user={admin}
backup_method = postgres
backup_compression = gzip
backup_compression_level = 1
immediate_checkpoint = true
streaming_archiver = on
slot_name = barman
create_slot = auto
"""


@dataclass(frozen=True, slots=True)
class PgBackRestWay:
    """`pgbackrest backup`, `restore --db-include`, a server of that, `pg_dump` of the one database."""

    repository: Repository
    name: str = "pgBackRest, whole server, encrypted"
    lacks: str = "nothing is restored, one key for all"

    def back_up(self) -> None:
        """Take a full backup."""
        self.repository.run("--type=full", "backup")

    def fetch(self, database: str) -> None:
        """Restore the server with one database filled, start it, and dump that one to a file."""
        with _room(self.repository) as room:
            options = ["--type=immediate", "--target-action=promote", "--archive-mode=off"]
            self.repository.run(f"--pg1-path={room / 'data'}", f"--db-include={database}", *options, "restore")
            _dump_from(self.repository, room, database)


class BarmanWay:
    """`barman backup`, `barman recover`, a server of that, `pg_dump` of the one database."""

    name = "Barman, whole server, gzip"
    lacks = "nothing is restored, nothing encrypted"

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._cluster = repository.server.cluster
        account = self._cluster.account
        self._home = private_folder(Path(tempfile.mkdtemp(prefix="barman-", dir=repository.folder)), account)
        (self._home / "conf.d").mkdir()
        values: dict[str, Any] = {"user": account.name if account.switch else current_user(), "admin": ADMIN}
        values |= {"bindir": self._cluster.bindir, "socket": repository.folder, "port": repository.server.port}
        (self._home / "barman.conf").write_text(_BARMAN.format(home=self._home, **values))
        self._receiving: subprocess.Popen[Any] | None = None

    def prepare(self) -> None:
        """Begin to receive the log, without which Barman takes no backup."""
        self._run("receive-wal", "--create-slot", "bench")
        command = ["barman", "-c", str(self._home / "barman.conf"), "receive-wal", "bench"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        keywords = self._cluster.account.keywords
        self._receiving = subprocess.Popen(command, env=self._environment(), cwd="/", **quiet, **keywords)
        for last in (False, False, False, True):  # a piece that ends before the receiver has begun never arrives
            try:
                self._run("switch-wal", "--force", "--archive", "--archive-timeout", "20", "bench")
            except RuntimeError:
                if last:
                    raise
            else:
                return

    def close(self) -> None:
        """Stop receiving the log."""
        if self._receiving is not None:
            self._receiving.send_signal(signal.SIGTERM)
            self._receiving.wait(30)

    def back_up(self) -> None:
        """Take a backup, and wait until the log that it needs is there."""
        self._run("backup", "--wait", "bench")

    def fetch(self, database: str) -> None:
        """Restore the whole server, start it, and dump one database to a file."""
        with _room(self._repository) as room:
            staging = private_folder(room / "staging", self._cluster.account)
            options = ["--recovery-staging-path", str(staging), "--target-immediate", "--target-action", "promote"]
            self._run("recover", *options, "bench", "latest", str(room / "data"))
            _dump_from(self._repository, room, database)

    def _run(self, *words: str) -> None:
        done = subprocess.run(
            ["barman", "-c", str(self._home / "barman.conf"), *words],
            env=self._environment(),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
            **self._cluster.account.keywords,
        )
        if done.returncode != 0:
            raise RuntimeError(f"barman {words[0]}: {(done.stdout + done.stderr).strip().splitlines()[-3:]}")

    def _environment(self) -> dict[str, str]:
        return {"PATH": f"{self._cluster.bindir}:{os.defpath}", "HOME": str(self._home), "LC_ALL": "C.UTF-8"}


@contextmanager
def _room(repository: Repository) -> Generator[Path]:
    """A folder of PostgreSQL's account, for a server of a backup."""
    account = repository.server.cluster.account
    folder = private_folder(Path(tempfile.mkdtemp(prefix="restored-", dir=repository.folder)), account)
    private_folder(folder / "data", account)
    try:
        yield folder
    finally:
        postmaster.end(folder / "data", signal.SIGQUIT, 5)
        shutil.rmtree(folder, ignore_errors=True)


def _dump_from(repository: Repository, room: Path, database: str) -> None:
    """Start a server of the files in `room` and dump one database of it."""
    account = repository.server.cluster.account
    cluster = Cluster(room / "data", repository.server.cluster.bindir, account)
    user = account.name if account.switch else current_user()
    cluster.configure(
        configuration.replaying_settings_text(room, physical_memory()),
        f"local all {ADMIN} peer map=backup\n",
        f"backup {user} {ADMIN}\n",
    )
    cluster.start(room / "log")
    command = [cluster.bindir / "pg_dump", "-Fc", "-Z0", f"--file={room / 'one.dump'}"]
    where = f"--dbname=host={room} port={configuration.PORT} user={ADMIN} dbname={database}"
    subprocess.run([*command, where], check=True, env={}, cwd="/", **account.keywords)
