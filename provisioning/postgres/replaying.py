"""Throw-away servers of somebody else's files: a whole server as another program has restored it, at one moment.

Whatever the files say about addresses, programs to run and logins is replaced before the server is started: nobody but
our own account gets in, over a socket of its own, as one role that is no superuser. All of it is removed afterwards, by
the next one if this process is killed.
"""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from ...config.errors import FailedError
from ...config.settings import Settings
from . import configuration
from .account import Account, current_user
from .cluster import Cluster, physical_memory
from .embedded import EmbeddedServer
from .places import private_folder, socket_dir
from .programs import find_version
from .scratch import ScratchServer, instance_folder

Fill = Callable[[Path], None]
_RECOVERY = re.compile(r"^(restore_command|recovery_target\w*) = ", re.MULTILINE)
_AUTO = "postgresql.auto.conf"


@contextmanager
def replayed(settings: Settings, role: str, fill: Fill) -> Generator[ScratchServer]:
    """Yield a server of the files, and with the way to its log, that `fill` puts into the empty folder it is given.

    Connect to it as `role`. Raises what `fill` raises, `FailedError` where there are no programs of the server's
    version, `UnavailableError` with the server's own reason.
    """
    home = EmbeddedServer(settings)
    with instance_folder(home) as folder:
        data = private_folder(folder / "data", home.account)
        fill(data)
        yield _start(settings, folder, home.account, role)


def _start(settings: Settings, folder: Path, account: Account, role: str) -> ScratchServer:
    data = folder / "data"
    cluster = Cluster(data, find_version(settings, _version(data)), account)
    _keep_recovery_only(data, account)
    socket = private_folder(socket_dir(folder, folder / "s", account), account)
    cluster.configure(
        configuration.replaying_settings_text(socket, physical_memory()),
        configuration.throw_away_hba_text(role),
        configuration.ident_text(current_user(), role),
    )
    cluster.start(folder / "log")
    return ScratchServer(folder, socket, cluster.bindir, user=role)


def _version(data: Path) -> int:
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise FailedError("What was restored is no data folder of PostgreSQL.") from error


def _keep_recovery_only(data: Path, account: Account) -> None:
    """Keep of what ALTER SYSTEM has set, which is for the real server, how the log is found and where it ends."""
    file = data / _AUTO
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    file.write_text("".join(f"{line}\n" for line in lines if _RECOVERY.match(line)), encoding="utf-8")
    file.chmod(0o600)
    account.own(file)
