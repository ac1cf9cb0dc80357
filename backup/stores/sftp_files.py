"""What is done with the files of an SFTP server, a request or a few at a time."""

import re
import stat
from typing import Any, cast

import paramiko
from paramiko.sftp import CMD_EXTENDED

from .contract import taken


def is_file(sftp: paramiko.SFTPClient, path: str) -> bool:
    """Whether there is a file, and no folder."""
    try:
        return stat.S_ISREG(sftp.stat(path).st_mode or 0)
    except FileNotFoundError:
        return False


def exists(sftp: paramiko.SFTPClient, path: str) -> bool:
    """Whether there is anything."""
    try:
        sftp.stat(path)
    except FileNotFoundError:
        return False
    return True


def remove(sftp: paramiko.SFTPClient, path: str) -> bool:
    """Remove a file; return whether it was there."""
    try:
        sftp.remove(path)
    except FileNotFoundError:
        return False
    return True


def open_new(sftp: paramiko.SFTPClient, path: str) -> paramiko.SFTPFile:
    """Begin a file that is not there yet, for its owner alone, with the folders above it."""
    try:
        file = sftp.open(path, "wx")
    except FileNotFoundError:
        make_folders(sftp, path.rpartition("/")[0])
        file = sftp.open(path, "wx")
    file.chmod(0o600)
    return file


def make_folders(sftp: paramiko.SFTPClient, folder: str) -> None:
    """Make a folder and those above it, as far as they are lacking."""
    lacking: list[str] = []
    while folder and not exists(sftp, folder):
        lacking.append(folder)
        folder = folder.rpartition("/")[0]
    for path in reversed(lacking):
        try:
            sftp.mkdir(path, 0o700)
        except OSError:
            if not exists(sftp, path):  # else another writer was faster
                raise


def sync(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Have the server's disk hold the file, where the server can do that."""
    try:
        _extended(sftp, "fsync@openssh.com", file.handle)
    except OSError as error:
        if not re.search(r"unsupported|not supported|not implemented|unknown", str(error), re.IGNORECASE):
            raise


def publish(sftp: paramiko.SFTPClient, temporary: str, path: str, name: str) -> None:
    """Give a finished file its name. Raises as `taken` says where another has it."""
    try:
        _extended(sftp, "hardlink@openssh.com", temporary, path)
    except OSError:
        if exists(sftp, path):
            raise taken(name) from None
        sftp.rename(temporary, path)  # of the protocol itself: fails if there is a file


def _extended(sftp: paramiko.SFTPClient, request: str, *arguments: Any) -> None:
    cast(Any, sftp)._request(CMD_EXTENDED, request, *arguments)  # as `posix_rename` of paramiko does
