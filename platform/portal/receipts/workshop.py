"""Uploads are decoded in a process of their own: what a stranger sends may stop a decoder, fill memory or crash it.

A PDF of 2 kB can take PDFium years to draw, and nothing interrupts it inside a process. The workshop is started for the
first upload and kept; it handles one file at a time, writes no file, and ends when its limits or its parent do. Files
and answers go through pipes: a line of JSON with the sizes, then the bytes. Nothing is unpickled.
"""

import json
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, Any, Final, cast

from ....config.errors import CallError, UnavailableError
from . import files
from .files import CleanReceipt

CPU_SECONDS: Final = 15.0  # a photograph of 50 megapixels takes three
WALL_SECONDS: Final = 60.0
MOST_MEMORY: Final = 2 * 1024**3  # bytes of address space
TOO_MUCH: Final = "This file takes too long to read; photograph the receipt, or save it as another file."


class Workshop:
    """The process and the queue before it. Each process that takes uploads has one."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS) -> None:
        """Nothing is started before the first file."""
        self._cpu_seconds = cpu_seconds
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def clean(self, content: bytes) -> CleanReceipt:
        """As `files.clean`, within limits. Raises `CallError`, and `UnavailableError` when the queue does not move."""
        files.check(content)
        if not self._turn.acquire(timeout=WALL_SECONDS):
            raise UnavailableError("Other receipts are being read; try again in a minute.", 30)
        try:
            return self._answered(content)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the process; the next file starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _answered(self, content: bytes) -> CleanReceipt:
        process = self._started()
        to, back = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        try:
            _send(to, {"cpu_seconds": self._cpu_seconds}, content)
            answer, parts = _receive(back)
        except (OSError, EOFError, ValueError) as error:  # it has ended, or talks nonsense
            self.close()
            raise CallError(TOO_MUCH, "file") from error
        if "refused" in answer:
            raise CallError(str(answer["refused"]), "file")
        kind, width, height = str(answer["media_type"]), int(answer["width"]), int(answer["height"])
        return CleanReceipt(parts[0], kind, width, height, parts[1])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            # No environment: nothing in there is the decoder's business.
            command = [sys.executable, "-P", "-B", "-m", __name__]
            self._process = subprocess.Popen(
                command, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process


def clean(content: bytes) -> CleanReceipt:
    """Clean an upload in this process's workshop; see `Workshop.clean`."""
    return _WORKSHOP.clean(content)


def main() -> None:
    """What the process does: answer one file after the other, until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when to end
    for kind, most in ((resource.RLIMIT_AS, MOST_MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    with suppress(EOFError, BrokenPipeError):
        while True:
            asked, (content,) = _receive(sys.stdin.buffer)
            # Unhandled, both signals end the process, also in the middle of a library's code.
            signal.setitimer(signal.ITIMER_PROF, float(asked["cpu_seconds"]))
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            _send(sys.stdout.buffer, *_result(content))
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)


def _result(content: bytes) -> tuple[Any, ...]:
    try:
        done = files.clean(content)
    except CallError as error:
        return ({"refused": str(error)},)
    facts = {"media_type": done.media_type, "width": done.width, "height": done.height}
    return facts, done.content, done.preview


def _send(stream: IO[bytes], facts: dict[str, Any], *parts: bytes) -> None:
    stream.write(json.dumps(facts | {"sizes": [len(part) for part in parts]}).encode() + b"\n")
    for part in parts:
        stream.write(part)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Raises `EOFError` where the other side has ended."""
    line = stream.readline(10_000)
    if not line:
        raise EOFError
    facts = json.loads(line)
    parts = [stream.read(size) for size in facts["sizes"]]
    if [len(part) for part in parts] != facts["sizes"]:
        raise EOFError
    return facts, parts


_WORKSHOP: Final = Workshop()

if __name__ == "__main__":
    main()
