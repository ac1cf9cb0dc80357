"""Files that are there completely or not at all, whatever moment the process is killed at.

Temporary file → fsync → link (first writer wins) or rename (last writer wins) → fsync of the folder. A killed writer
may leave its temporary file behind: it is nobody's object, carries the name of its target, and goes when that goes.
"""

import os
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...config.errors import FailedError

TEMPORARY = ".tmp-"


def write_once(path: Path, content: bytes) -> bool:
    """Put `content` at `path`, mode 0600, unless a file is there already; return whether this call wrote it.

    Raises `FailedError` when the disk does not take it.
    """
    with _failing(path), _temporary(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            sync_folder(path.parent)  # the other writer may have died between its link and its fsync
            return False
        sync_folder(path.parent)
        return True


def replace(path: Path, content: bytes) -> None:
    """Put `content` at `path`, mode 0600, over whatever was there. Raises `FailedError`."""
    with _failing(path), _temporary(path, content) as temporary:
        temporary.rename(path)
        sync_folder(path.parent)


def remove(path: Path) -> bool:
    """Unlink `path`, and what killed writers of it left, durably; return whether it was there. Raises `FailedError`."""
    with _failing(path):
        found = path.exists()
        for file in (path, *path.parent.glob(f"{TEMPORARY}{path.name}-*")):
            file.unlink(missing_ok=True)
        sync_folder(path.parent)
        return found


def sweep(folder: Path, older_than: float) -> None:
    """Remove temporary files in `folder` that nobody has written to for `older_than` seconds. Raises `FailedError`."""
    limit = time.time() - older_than
    with _failing(folder):
        for file in folder.glob(f"{TEMPORARY}*"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < limit:
                    file.unlink()


def make_folder(path: Path) -> None:
    """Make `path` with mode 0700, and missing parents with the usual mode, durably. Raises `FailedError`."""
    with _failing(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700 if folder == path else 0o777)
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(path: Path, content: bytes) -> Generator[Path]:
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _failing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise FailedError(f"{path} cannot be written: {error.strerror}.") from error
