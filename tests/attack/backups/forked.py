"""Commands under test, as processes of a zygote: forked, so that a round does not wait for Python's imports."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

_START_SECONDS = 60.0


class Child:
    """One command that runs. `usual`: how long such a command takes, in seconds."""

    def __init__(self, zygote: "Zygote", pid: int, usual: float) -> None:
        self.pid = pid
        self.usual = usual
        self.status: int | None = None
        self.calls = 0
        self._zygote = zygote
        self._done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def ended(self, seconds: float) -> bool:
        """Wait that long at most; say whether it has ended."""
        return self._done.wait(seconds)

    def wait(self) -> int:
        """Wait for its end; return its exit status, negative for a signal."""
        assert self._done.wait(300), "the command never ended"
        assert self.status is not None, "the zygote died"
        return self.status

    def _watch(self) -> None:
        answer = self._zygote.answer()
        self.status, self.calls = answer.get("status"), answer.get("calls", 0)
        self._done.set()


class Zygote:
    """The process that forks them; one command at a time each."""

    def __init__(self, home: Path, tmp: Path, log: Path) -> None:
        environment = {"PATH": os.defpath, "STRONGROOM_HOME": str(home), "TMPDIR": str(tmp), "LC_ALL": "C.UTF-8"}
        with log.open("ab") as words:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("zygote.py"))],
                env=environment,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
            )

    def start(self, arguments: list[str], *, dies_at: int = 0, usual: float = 1.0) -> Child:
        """Start a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"arguments": arguments, "dies_at": dies_at}) + "\n")
        self._process.stdin.flush()
        return Child(self, self.answer()["pid"], usual)

    def answer(self) -> dict[str, Any]:
        """Return what it says next; nothing if it has died."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {}

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
