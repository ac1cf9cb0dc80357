"""Under which account PostgreSQL runs: our own, or an unprivileged one when we are root, because it refuses root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config.errors import FailedError

_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system; `switch` says whether a program must be started as somebody else."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def keywords(self) -> dict[str, Any]:
        """Return the keywords for `subprocess` that start a program as this account, without our groups."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def own(self, path: Path) -> None:
        """Give a file or folder that we made to this account."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def reaches(self, folder: Path) -> bool:
        """Say whether this account can enter an existing folder and read what others may read in it."""
        if not self.switch:
            return os.access(folder, os.X_OK)
        # Asked by trying it: modes, access lists and mount options all count.
        trial = ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]
        process = subprocess.Popen(trial, cwd="/", env={}, stderr=subprocess.DEVNULL, **self.keywords)
        return process.wait() == 0


def server_account() -> Account:
    """Return the account for PostgreSQL. Raises `FailedError` if we are root and there is no other one."""
    if os.geteuid() != 0:
        return Account(current_user(), os.geteuid(), os.getegid(), switch=False)
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise FailedError("PostgreSQL does not run as root, and there is no account “postgres” or “nobody” to run it as.")


def current_user() -> str:
    """Return the name by which PostgreSQL's peer authentication knows us."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise FailedError(
            f"The user id {os.geteuid()} has no entry in the account list, which PostgreSQL needs."
        ) from error
