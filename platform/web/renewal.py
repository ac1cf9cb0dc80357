"""Certificates are looked after by the processes that serve with them, and read again without a restart."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from ...config.errors import FailedError, StrongroomError

log = logging.getLogger(__name__)
_POLL_SECONDS = 2.0


def first(renew: Callable[[], object], *served: Path) -> None:
    """Make what is missing. What is wrong with a newer file does not matter while there is an earlier good one."""
    try:
        renew()
    except FailedError as error:
        if not all(path.exists() for path in served):
            raise
        log.warning("The earlier certificate is served: %s", error)


def look_after(renew: Callable[[], object], *served: Path) -> None:
    """Renew before the end, or when something newer is there; SIGHUP makes granian read what has changed."""
    threading.Thread(target=_keep, args=(renew, served, _stamps(served)), daemon=True, name="certificate").start()


def _keep(renew: Callable[[], object], served: tuple[Path, ...], read: list[tuple[int, int]]) -> None:
    said = ""
    while True:
        time.sleep(_POLL_SECONDS)
        said = _renewed(renew, said)
        if (now := _stamps(served)) != read:  # by us, or by another process of this home
            read = now
            os.kill(os.getpid(), signal.SIGHUP)


def _renewed(renew: Callable[[], object], said: str) -> str:
    """What was wrong, which is logged once; “” for nothing."""
    try:
        renew()
    except (StrongroomError, DBAPIError, OSError) as error:  # the database restarts, the disk is full: later, then
        if str(error) != said:
            log.warning("The certificate could not be looked after: %s", error)
        return str(error)
    return ""


def _stamps(served: tuple[Path, ...]) -> list[tuple[int, int]]:
    found = [path.stat() for path in served]
    return [(one.st_ino, one.st_mtime_ns) for one in found]
