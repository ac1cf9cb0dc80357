"""Throw-away PostgreSQL instances, into which backups are restored to prove them.

Nothing in them survives: data is not synced to disk, and the folder is removed at the end. What a process that was
killed leaves behind is removed by the next one. The only login is no superuser, so that whatever a restored database
brings along cannot reach the server's files.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from ...config.errors import FailedError
from ...config.settings import Settings
from . import configuration, postmaster
from .account import Account, current_user
from .cluster import Cluster, physical_memory
from .embedded import EmbeddedServer
from .locks import FileLock, exclusive
from .places import private_folder, socket_dir
from .programs import run_program

USER = "strongroom_restore"
PREFIX = "scratch-"
_SEED = "scratch.seed"
_REMOVALS = 40  # tries to remove a folder, 50 ms apart


@dataclass(frozen=True, slots=True)
class ScratchServer:
    """A running throw-away instance; connect to it as `user`, who may create databases and roles."""

    folder: Path
    socket_dir: Path
    bindir: Path
    port: int = configuration.PORT
    user: str = USER

    def conninfo(self, dbname: str = "postgres") -> str:
        """Return the connection string; no password is needed, the kernel says who we are."""
        return make_conninfo(host=str(self.socket_dir), port=self.port, user=self.user, dbname=dbname)

    def is_running(self) -> bool:
        """Say whether its server process lives."""
        return postmaster.running_pid(self.folder / "data") is not None


@contextmanager
def scratch(settings: Settings) -> Generator[ScratchServer]:
    """Yield a throw-away instance on the home's disk. Several may run side by side.

    Raises `FailedError` if there is no room for one.
    """
    home = EmbeddedServer(settings)
    with instance_folder(home) as folder:
        with exclusive(home.start_lock):
            seed = _seed(home)
        yield _start(seed, folder)


@contextmanager
def instance_folder(home: EmbeddedServer) -> Generator[Path]:
    """Yield an empty folder that is in use until the end of the block; then its server is stopped, and all removed."""
    with exclusive(home.start_lock):
        sweep(home)
        folder = private_folder(Path(tempfile.mkdtemp(prefix=PREFIX, dir=home.root)), home.account)
        in_use = FileLock(folder / "lock")
        in_use.take()
    try:
        yield folder
    finally:
        remove(folder, home.account)
        in_use.close()


def instances(home: EmbeddedServer) -> list[Path]:
    """Return the folders of all instances, those in use and those that killed processes have left."""
    return list(home.root.glob(f"{PREFIX}*"))


def sweep(home: EmbeddedServer) -> bool:
    """Stop and remove the instances whose process is gone; say whether none is left. For holders of the start lock."""
    none_left = True
    for folder in instances(home):
        try:
            lock = FileLock(folder / "lock")
        except FailedError:  # its owner is removing it at this moment
            continue
        try:
            if lock.try_take():
                remove(folder, home.account)
            else:
                none_left = False
        finally:
            lock.close()
    return none_left


def _seed(home: EmbeddedServer) -> Cluster:
    """Return the fresh data folder that instances are copied from; made once, because initdb takes half a second."""
    seed = Cluster(home.root / _SEED, home.bindir, home.account)
    if not seed.exists():
        draft = Cluster(home.root / f"{_SEED}.draft", home.bindir, home.account)
        shutil.rmtree(draft.data, ignore_errors=True)
        draft.create("--no-sync", "--wal-segsize=4")
        role = f"CREATE ROLE {USER} LOGIN CREATEDB CREATEROLE NOSUPERUSER;\n"
        run_program(
            [seed.bindir / "postgres", "--single", "-D", draft.data, "postgres"],
            home.account.keywords,
            stdin=role.encode(),
        )
        draft.data.rename(seed.data)
    return seed


def _start(seed: Cluster, folder: Path) -> ScratchServer:
    cluster = Cluster(folder / "data", seed.bindir, seed.account)
    run_program(["cp", "-a", "--reflink=auto", seed.data, cluster.data], seed.account.keywords)
    socket = private_folder(socket_dir(folder, folder / "s", seed.account), seed.account)
    cluster.configure(
        configuration.throw_away_settings_text(socket, physical_memory()),
        configuration.throw_away_hba_text(USER),
        configuration.ident_text(current_user(), USER),
    )
    cluster.start(folder / "log")
    return ScratchServer(folder, socket, cluster.bindir)


def remove(folder: Path, account: Account) -> None:
    """Stop what runs in `folder` and remove it, with its socket's folder wherever that is.

    A `cp` or a server that has just begun when its master was killed goes on filling the folder for a moment.
    """
    for _ in range(_REMOVALS):
        postmaster.end(folder / "data", signal.SIGQUIT, 5)
        shutil.rmtree(socket_dir(folder, folder / "s", account), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
