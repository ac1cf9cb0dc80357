"""What people run for fleets of small databases today, each set up as its documentation says."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Protocol

from strongroom.backup.subject import subject_of, target_for
from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.names import BACKUP

WORKERS = 2
_PASSWORD = "the same for all"  # a throw-away repository


class Way(Protocol):
    """One way to back up workspaces into the folder `home`."""

    name: ClassVar[str]
    lacks: ClassVar[str]
    folder: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    home: Path

    def __init__(self, platform: Platform, home: Path) -> None: ...

    def run(self, some: Sequence[Tenant]) -> None:
        """Back up these workspaces."""
        ...


def missing(way: type[Way]) -> str:
    """Return the programs of `way` that are not installed."""
    return ", ".join(program for program in way.programs if shutil.which(program) is None)


class Cron:
    """`pg_dump | gzip | gpg` per workspace, two at a time, as a script that cron runs."""

    name: ClassVar[str] = "pg_dump, gzip -1, gpg --encrypt"
    lacks: ClassVar[str] = "nothing is verified, one key for all, no catalogue, no fsync"
    folder: ClassVar[str] = "cron"
    programs: ClassVar[tuple[str, ...]] = ("gzip", "gpg")
    _LINE: ClassVar[str] = (
        'set -o pipefail; "$0" -Fc -Z0 --dbname="$1" | gzip -1 | gpg --batch --encrypt -r bench >"$2"'
    )

    def __init__(self, platform: Platform, home: Path) -> None:
        self._platform = platform
        self.home = home
        self.home.mkdir(mode=0o700)
        self._gnupg = home / "gnupg"
        self._gnupg.mkdir(mode=0o700)
        make = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "bench", "future-default"]
        subprocess.run(make, check=True, env=self._environment(), capture_output=True)

    def run(self, some: Sequence[Tenant]) -> None:
        """Write a file for each, over that of the last time."""
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(self._one, some))
        stop = ["gpgconf", "--kill", "all"]
        subprocess.run(stop, check=False, env=self._environment())

    def _one(self, tenant: Tenant) -> None:
        with self._platform.control.connect() as conn:
            subject = subject_of(self._platform, conn, tenant.id)
        with target_for(self._platform, subject.server, BACKUP, subject.database) as target:
            line = [
                "bash",
                "-c",
                self._LINE,
                target.bindir / "pg_dump",
                target.conninfo,
                self.home / f"{tenant.slug}.gpg",
            ]
            environment = self._environment() | {"PGSERVICEFILE": str(target.service_file)}
            subprocess.run(line, check=True, env=environment, capture_output=True)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "GNUPGHOME": str(self._gnupg)}


class Restic:
    """Dumps into a folder, then `restic backup` of the folder."""

    name: ClassVar[str] = "pg_dump -Fc -Z0 to a folder, restic backup"
    lacks: ClassVar[str] = "nothing is verified, plaintext on disk, one key for all"
    folder: ClassVar[str] = "restic"
    programs: ClassVar[tuple[str, ...]] = ("restic",)

    def __init__(self, platform: Platform, home: Path) -> None:
        self._platform = platform
        self.home = home
        self._dumps = home / "dumps"
        self._dumps.mkdir(parents=True, mode=0o700)
        self._restic("init")

    def run(self, some: Sequence[Tenant]) -> None:
        """Dump each over its last dump; then store what differs."""
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(self._dump, some))
        self._restic("backup", str(self._dumps))

    def _dump(self, tenant: Tenant) -> None:
        with self._platform.control.connect() as conn:
            subject = subject_of(self._platform, conn, tenant.id)
        with target_for(self._platform, subject.server, BACKUP, subject.database) as target:
            command = [target.bindir / "pg_dump", "-Fc", "-Z0", f"--file={self._dumps / tenant.slug}"]
            command.append(f"--dbname={target.conninfo}")
            subprocess.run(command, check=True, env={"PGSERVICEFILE": str(target.service_file)})

    def _restic(self, *words: str) -> None:
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "RESTIC_REPOSITORY": str(self.home / "repository"),
            "RESTIC_PASSWORD": _PASSWORD,
        }
        subprocess.run(["restic", "--quiet", *words], check=True, env=environment, capture_output=True)
