"""The service as a customer meets it: `strongroom up` in a process tree of its own, on free ports."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from free_ports import free_ports

from strongroom.config.settings import SETTINGS_FILE, Settings, load_settings
from strongroom.platform.web.listening import answers_https

ROOT = Path(__file__).parents[2]
READY = "Strongroom is ready"
_READY_SECONDS = 200.0
_STOP_SECONDS = 100.0
_PROGRAM = (sys.executable, "-P", "-m", "strongroom")


@dataclass(frozen=True)
class LiveService:
    """A running `strongroom up`."""

    settings: Settings
    process: subprocess.Popen[bytes]

    def url(self, slug: str | None = None) -> str:
        """Address of a workspace, or of the public site."""
        return self.settings.workspace_url(slug) if slug else self.settings.site_url()

    def cli(self, *arguments: str) -> str:
        """Run a command of the operator's in this home and return its standard output."""
        done = subprocess.run(
            _command(self.settings.home, arguments), capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"strongroom {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def kill(self, child: str) -> None:
        """End the process group of one of `up`'s children (`https`, `worker`) with SIGKILL, workers included."""
        os.killpg(self._pid(child), signal.SIGKILL)

    def connection(self) -> socket.socket:
        """A connection to the portal's port."""
        return socket.create_connection((self.settings.bind_host, self.settings.https_port), 2)

    def wait_for_web(self, seconds: float = 120) -> None:
        """Return when the portal answers again."""
        deadline = time.monotonic() + seconds
        while not answers_https(self.settings):
            assert time.monotonic() < deadline, "the portal did not come back"
            time.sleep(0.1)

    def _pid(self, child: str) -> int:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):  # gone meanwhile
                continue
            if parent == self.process.pid and child.encode() in words:
                return int(folder.name)
        raise AssertionError(f"`up` has no child “{child}”")


@contextmanager
def live_service(home: Path, *options: str) -> Generator[LiveService]:
    """Start `strongroom up` in `home` with these options, wait for its ready block, and stop it at the end."""
    _choose_ports(home)
    output, errors = home.parent / "up.out", home.parent / "up.err"
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(_command(home, ("up", *options)), stdout=out, stderr=err)
    try:
        _wait_for_ready(process, output, errors)
        yield LiveService(load_settings(home), process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _command(home: Path, arguments: Sequence[str]) -> list[str]:
    return [*_PROGRAM, "--home", str(home), *arguments]


def _choose_ports(home: Path) -> None:
    """Write free ports into the settings, so that every command prints addresses that answer."""
    first = free_ports(2)
    lines = f"https_port = {first}\nhttp_port = {first + 1}\nmetrics_port = 0\n"
    with (home / SETTINGS_FILE).open("a", encoding="utf-8") as file:
        file.write(lines)


def _wait_for_ready(process: subprocess.Popen[bytes], output: Path, errors: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while READY not in output.read_text(encoding="utf-8"):
        said = errors.read_text(encoding="utf-8")
        assert process.poll() is None, f"`strongroom up` ended with {process.returncode}:\n{said}"
        assert time.monotonic() < deadline, f"`strongroom up` was not ready after {_READY_SECONDS:.0f} s:\n{said}"
        time.sleep(0.1)
