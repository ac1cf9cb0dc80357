"""PgBouncer as our child: it gets a new list of logins as workspaces come and go, and ends with us."""

import logging
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ...config.errors import FailedError, StrongroomError
from ..postgres.account import Account
from ..postgres.programs import clean_environment
from .files import SETTINGS, PoolerFiles

_TURN = 0.5  # seconds between two looks at which logins there are
_END_SECONDS = 10

_logger = logging.getLogger(__name__)


def run_pooler(files: PoolerFiles, announce: Callable[[], None]) -> None:
    """Run PgBouncer with these files until this process is told to end; `announce` is called when it has started.

    Raises `FailedError` when PgBouncer is not there, or ends by itself.
    """
    program = find_program()
    files.update()
    process = _start(program, files.plan.folder / SETTINGS, files.account)
    try:
        announce()
        while process.poll() is None:
            time.sleep(_TURN)
            _follow(files, process)
        raise FailedError("PgBouncer has ended by itself; its own words above say why.")
    finally:
        _end(process)


def find_program() -> str:
    """Return the path of PgBouncer. Raises `FailedError` if it is not installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FailedError("PgBouncer is not installed here; on Debian and Ubuntu install the package pgbouncer.")
    return found


def _start(program: str, settings: Path, account: Account) -> subprocess.Popen[bytes]:
    _allow_many_files()
    # However this process dies, PgBouncer is told to end: nobody would bring it new logins.
    setpriv = shutil.which("setpriv")
    command = [*([setpriv, "--pdeathsig", "TERM"] if setpriv else []), program, str(settings)]
    return subprocess.Popen[bytes](
        command, env=clean_environment(), cwd="/", stdin=subprocess.DEVNULL, **account.keywords
    )


def _allow_many_files() -> None:
    """Each client and each session is an open file; the usual soft limit is below what a server carries."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _follow(files: PoolerFiles, process: subprocess.Popen[bytes]) -> None:
    try:
        if files.update():
            process.send_signal(signal.SIGHUP)  # PgBouncer's word for “read your files again”
    except (StrongroomError, SQLAlchemyError) as error:  # who is known already goes on working
        _logger.warning("The pooler's list of logins stays as it is: %s", error)
        time.sleep(1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
