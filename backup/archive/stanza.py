"""The program pgBackRest: what its repository has of a server, and a restore of that server's files.

It runs as PostgreSQL's account, which must be able to read its configuration file.
"""

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...config.errors import FailedError
from ...config.pgbackrest import Stanza
from ...provisioning.postgres.account import Account

_QUIET = ("--log-level-console=error", "--log-level-stderr=off", "--log-level-file=off")
_NO_SUCH_DATABASE = 80  # pgBackRest's status for an --db-include that the backup does not have (DbMissingError)


@dataclass(frozen=True, slots=True)
class PgBackRest:
    """One stanza, asked as `account`."""

    stanza: Stanza
    account: Account

    def backups(self) -> list[datetime]:
        """Return when each backup in the repository was finished, the oldest first. Raises `FailedError`."""
        said = self._run("info", "--output=json")
        try:
            found: list[dict[str, Any]] = json.loads(said.stdout)
            ends = [backup["timestamp"]["stop"] for one in found for backup in one.get("backup", [])]
        except (ValueError, KeyError, TypeError) as error:
            raise FailedError("pgBackRest describes its backups in a way that is not understood.") from error
        return sorted(datetime.fromtimestamp(end, UTC) for end in ends)

    def restore(self, data: Path, databases: Sequence[str], at: datetime) -> bool:
        """Put the server's files into the empty folder `data`, with the way to the log up to `at`.

        Of databases other than `databases` only empty shells, of all of them when there is none. Returns False where
        the backup has no such database. Raises `FailedError`.
        """
        options = [
            f"--pg1-path={data}",
            "--type=time",
            f"--target={at.astimezone(UTC).isoformat(sep=' ', timespec='microseconds')}",
            "--target-action=promote",
            "--archive-mode=off",
            f"--tablespace-map-all={data.parent / 'tablespaces'}",
            f"--process-max={os.cpu_count() or 1}",
            *(f"--db-include={database}" for database in databases),
        ]
        done = self._run("restore", *options, allowed=(_NO_SUCH_DATABASE,))
        return done.returncode == 0

    def _run(self, command: str, *options: str, allowed: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
        program = shutil.which("pgbackrest")
        if program is None:
            raise FailedError("pgBackRest is not installed on this machine; its package is called pgbackrest.")
        words = [program, f"--config={self.stanza.config}", f"--stanza={self.stanza.stanza}", *_QUIET, *options]
        done = subprocess.run(
            [*words, command],
            env=self._environment(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **self.account.keywords,
        )
        if done.returncode not in (0, *allowed):
            raise FailedError(f"pgBackRest failed (status {done.returncode}): {_reason(done.stdout + done.stderr)}")
        return done

    def _environment(self) -> dict[str, str]:
        """No secret and nothing of ours; ssh, by which it may reach its repository, looks for keys in the home."""
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": pwd.getpwuid(self.account.uid).pw_dir}


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "ERROR" in line] or lines or ["it did not say why"]
    return telling[0].rpartition("ERROR: ")[2]
