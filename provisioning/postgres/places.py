"""Where an embedded server's programs, data and socket lie.

PostgreSQL's account must be able to reach them. We never change the mode of a folder that we did not make: what lies
behind a closed folder (such as /root) gets a place of its own under /var/lib/strongroom, and the home links to it.
"""

import hashlib
import logging
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ...config.errors import FailedError, RefusedError
from ...config.settings import Settings
from .account import Account
from .programs import find_bindir

_logger = logging.getLogger(__name__)
_REACHABLE = Path("/var/lib/strongroom")
_LONGEST_SOCKET_DIR = 85  # of the 107 bytes that an address has (unix(7)); “/.s.PGSQL.5432.lock” must fit too
_PLAIN = re.compile(r"[A-Za-z0-9._/+-]+")  # what needs no quoting in a list of socket folders
_NOT_NEEDED = ("include", "*.a", "pgxs", "pkgconfig")


@dataclass(frozen=True, slots=True)
class Places:
    """Resolved folders: `root` holds all data of the home's servers, `bindir` the programs."""

    root: Path
    bindir: Path


def prepare(settings: Settings, account: Account) -> Places:
    """Make what is missing of the home and of PostgreSQL's folders; return where they are.

    Raises `RefusedError` if the home belongs to somebody else, `FailedError` if a folder cannot be made.
    """
    check_home(settings.home)
    try:
        for folder in (settings.home, settings.run_dir, settings.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        return Places(root=_root(settings, account), bindir=_reachable_bindir(settings, account))
    except OSError as error:
        raise FailedError(f"{error.filename or settings.home} cannot be made: {error.strerror}.") from error


def check_home(home: Path) -> None:
    """Raise `RefusedError` if `home` exists and belongs to somebody else."""
    try:
        owner = home.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise RefusedError(f"{home} cannot be opened: {error.strerror}; choose another home.") from error
    if owner != os.geteuid():
        raise RefusedError(f"{home} belongs to the user id {owner}: work as that user or choose another home.")


def socket_dir(root: Path, preferred: Path, account: Account) -> Path:
    """Return the folder for a server's socket, whose name must be short; `private_folder` makes it.

    `preferred` when that fits and the account can reach it, else a folder in /tmp named after `root`.
    """
    wanted = preferred.parent.resolve() / preferred.name
    fits = len(os.fsencode(wanted)) <= _LONGEST_SOCKET_DIR and _PLAIN.fullmatch(str(wanted))
    if fits and account.reaches(wanted.parent):
        return wanted
    # Not tempfile.gettempdir(): every process must find the same folder, whatever its TMPDIR says.
    return Path("/tmp") / f"strongroom-{account.uid}-{_hash(root)}"  # noqa: S108


def private_folder(folder: Path, account: Account) -> Path:
    """Make a folder that only the account can enter. Raises `FailedError` if it is there and somebody else's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.lstat().st_uid
    if folder.is_symlink() or owner not in {os.geteuid(), account.uid}:
        raise FailedError(f"{folder} belongs to somebody else; remove it and start again.")
    if owner == os.geteuid():
        account.own(folder)
        folder.chmod(0o700)
    return folder


def _root(settings: Settings, account: Account) -> Path:
    """Return the folder for all data: in the home, or where the home's link points to."""
    inside = settings.postgres_dir
    if inside.is_symlink() or inside.exists():
        root = inside.resolve()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return private_folder(root, account)
    if account.reaches(settings.home):
        return private_folder(inside, account)
    # A new folder each time: the data of a home that was removed must not come back in its successor.
    root = private_folder(Path(tempfile.mkdtemp(prefix=f"{_hash(settings.home)}-", dir=_reachable_folder())), account)
    inside.symlink_to(root)
    _logger.warning("PostgreSQL runs as “%s”, which cannot enter %s: its data is in %s.", account.name, inside, root)
    return root


def _reachable_bindir(settings: Settings, account: Account) -> Path:
    """Return the programs' folder, copied once to where the account reaches it if it must be."""
    bindir = find_bindir(settings)
    if account.reaches(bindir):
        return bindir
    original = bindir.resolve()
    version = f"{(original / 'postgres').stat().st_mtime_ns}-{original}"
    copy = _reachable_folder() / f"programs-{_hash(Path(version))}"
    if not copy.exists():
        _copy_programs(original.parent, copy)
        _logger.warning("PostgreSQL runs as “%s”, which cannot enter %s: it uses %s.", account.name, bindir, copy)
    return copy / original.parent.parent.name / original.parent.name / original.name


def _copy_programs(prefix: Path, copy: Path) -> None:
    """Copy an installation, all or nothing, together with the wheel's libraries, which it looks for beside it."""
    draft = copy.with_name(f"{copy.name}.{os.getpid()}")
    package = prefix.parent
    shutil.copytree(
        prefix, draft / package.name / prefix.name, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_NEEDED)
    )
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    for path in (draft, *draft.rglob("*")):  # our copy, so its modes are ours to set: pip may have run under umask 077
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.stat().st_mode & 0o100 else 0o444))
    try:
        draft.rename(copy)
    except OSError:  # another process was faster
        shutil.rmtree(draft)


def _reachable_folder() -> Path:
    _REACHABLE.mkdir(mode=0o755, parents=True, exist_ok=True)
    return _REACHABLE


def _hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
