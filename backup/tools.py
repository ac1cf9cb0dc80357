"""`pg_dump` and `pg_restore` as child processes: no secret in argv or environment, exit status always looked at."""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..config.errors import FailedError
from ..provisioning.postgres.programs import client_environment

PIPE_BYTES = 1 << 20
CHUNK = 1 << 17
DUMP_OPTIONS = ("--format=custom", "--compress=0", "--no-password")
RESTORE_OPTIONS = ("--no-owner", "--no-acl", "--exit-on-error", "--single-transaction", "--no-password")
_KNOWS_TRANSACTION_TIMEOUT = 170000
_PREAMBLE_LINES = 20  # of a script: comments and settings, before the first object


# What programs say when it is not the archive that is wrong: the disk, the memory, the server, the connection.
_OUTSIDE = (
    "No space left on device", "Disk quota exceeded", "File too large", "could not extend file", "out of memory",
    "server closed the connection", "terminating connection", "connection to server", "could not connect",
    "the database system is", "too many clients", "no connection to the server", "Input/output error",
)  # fmt: skip


class InterruptedProgramError(FailedError):
    """Raised when a program was killed, or its server, disk or memory failed it: what it was fed may be good."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which programs to use, and where they connect; what is secret stands in a service file (mode 0600)."""

    bindir: Path
    conninfo: str
    service_file: Path | None = None
    tls: bool = False  # whether they go over a network


@contextmanager
def dumping(target: Target, *options: str) -> Generator["DumpOutput"]:
    """Run `pg_dump`; the yielded reader raises `FailedError` at the end of its output unless it succeeded."""
    command = [target.bindir / "pg_dump", *DUMP_OPTIONS, *options, f"--dbname={target.conninfo}"]
    with (
        tempfile.TemporaryFile() as complaints,
        _running(command, target, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        yield DumpOutput(process, complaints)


@contextmanager
def restoring(target: Target, *options: str, server_version: int | None = None) -> Generator["RestoreInput"]:
    """Run `pg_restore`, fed by the yielded writer. When the block ends well it has succeeded, or `FailedError`.

    When the block raises, the program sees an incomplete archive and rolls everything back. `server_version` is that of
    the server to restore into, where it may be older than the programs.
    """
    if server_version is not None and server_version < _KNOWS_TRANSACTION_TIMEOUT:
        with _restoring_as_script(target, options) as archive:
            yield archive
        return
    command = [target.bindir / "pg_restore", *RESTORE_OPTIONS, *options, f"--dbname={target.conninfo}"]
    with (
        tempfile.TemporaryFile() as complaints,
        _running(command, target, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints) as process,
    ):
        archive = RestoreInput(process, complaints)
        yield archive
        archive.finish()


@contextmanager
def _restoring_as_script(target: Target, options: Sequence[str]) -> Generator["RestoreInput"]:
    """Have `pg_restore` write a script for `psql`, without the setting in its first lines that older servers lack.

    The script is one transaction, and its COMMIT is the last thing that `pg_restore` writes.
    """
    reader = [target.bindir / "pg_restore", *RESTORE_OPTIONS, *options, "--file=-"]
    writer = [target.bindir / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--no-password"]
    writer.append(f"--dbname={target.conninfo}")
    with (
        tempfile.TemporaryFile() as complaints,
        _running(writer, target, stdin=subprocess.PIPE, stderr=complaints) as psql,
        _running(reader, target, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints) as pg_restore,
    ):
        passing = threading.Thread(target=_pass_on, args=(pg_restore, psql), name="restore-script")
        passing.start()
        try:
            archive = RestoreInput(pg_restore, complaints)
            yield archive
            archive.finish()
        finally:
            pg_restore.kill()  # has ended, unless the block has raised; then it must not write its COMMIT
            passing.join()
        RestoreInput(psql, complaints, "psql").finish()


def _pass_on(pg_restore: subprocess.Popen[bytes], psql: subprocess.Popen[bytes]) -> None:
    assert pg_restore.stdout is not None
    assert psql.stdin is not None
    beginning = b"".join(pg_restore.stdout.readline() for _ in range(_PREAMBLE_LINES))
    with suppress(BrokenPipeError):  # its exit status says why
        psql.stdin.write(beginning.replace(b"\nSET transaction_timeout = 0;\n", b"\n", 1))
        shutil.copyfileobj(pg_restore.stdout, psql.stdin, CHUNK)
        return
    while pg_restore.stdout.read(CHUNK):  # or it would wait for a reader for ever
        pass


class DumpOutput:
    """What `pg_dump` writes. Its end is an end only if the program left with status 0."""

    def __init__(self, process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
        self._process = process
        self._complaints = complaints

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end. Raises `FailedError` if the program failed or was killed."""
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if not data and self._process.wait() != 0:
            raise FailedError(f"pg_dump failed: {_reason(self._process, self._complaints)}")
        return data


class RestoreInput:
    """What `pg_restore` reads."""

    def __init__(self, process: subprocess.Popen[bytes], complaints: IO[bytes], program: str = "pg_restore") -> None:
        self._process = process
        self._complaints = complaints
        self._program = program

    def write(self, data: bytes, /) -> int:
        """Hand over `data`. Raises `FailedError` if the program has given up."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self._process.wait()
            raise self._failure() from None
        return len(data)

    def finish(self) -> None:
        """End the archive and wait. Raises `FailedError` unless everything was restored."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the exit status says why
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._failure()

    def _failure(self) -> FailedError:
        reason = _reason(self._process, self._complaints)
        outside = self._process.returncode < 0 or any(phrase in reason for phrase in _OUTSIDE)
        return (InterruptedProgramError if outside else FailedError)(f"{self._program} failed: {reason}")


@contextmanager
def _running(
    command: list[str | Path],
    target: Target,
    *,
    stderr: IO[bytes],
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Generator[subprocess.Popen[bytes]]:
    environment = client_environment(tls=target.tls)
    if target.service_file is not None:
        environment["PGSERVICEFILE"] = str(target.service_file)
    try:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, pipesize=PIPE_BYTES, bufsize=CHUNK
        )
    except OSError as error:
        raise FailedError(f"{command[0]} cannot be started: {error.strerror}.") from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    process.wait()


def _reason(process: subprocess.Popen[bytes], complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
    said = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "it said nothing")
    return f"status {process.returncode}, {said.strip().rstrip('.')}."
