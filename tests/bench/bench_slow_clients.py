"""A customer's page while a thousand slow callers are connected, beside the same page without them."""

import http.client
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from measuring import Row, installed, new_tenant, ratio

from strongroom.config.settings import Settings
from strongroom.platform.control.platform import open_platform
from strongroom.provisioning.initialise import initialise_home

SLOW = 1000
PAGES = 2000
SECONDS = 60.0
HERE = Path(__file__).parent


def measure() -> list[Row]:
    """Time and memory without and with slow callers: before, during, after, so that a busy machine slows all."""
    with installed() as (_, settings):
        initialise_home(settings)
        with open_platform(settings) as platform:
            host = f"{new_tenant(platform, 'bench-slow').slug}.localhost"
        with serving(settings) as (port, process):
            pages(port, host)
            memory = resident(process)
            alone = pages(port, host)
            with slow_callers(port, host):
                beset, more = pages(port, host), resident(process)
            alone += pages(port, host)
    return [*times(alone, beset), *room(memory, more)]


def times(alone: list[float], beset: list[float]) -> list[Row]:
    what, base = f"a page with {SLOW:,} slow callers", "with none"
    return [
        ratio(f"{what}, median", statistics.median(beset), base, statistics.median(alone), 2.0),
        ratio(f"{what}, 99th percentile", percentile(beset, 0.99), base, percentile(alone, 0.99), 3.0),
        ratio(f"{what}, slowest of {len(beset)}", max(beset), base, max(alone), None),
    ]


def room(before: float, after: float) -> list[Row]:
    """In bytes, all processes of the portal together."""
    return [
        Row(f"memory of the portal with {SLOW:,} slow callers, more", 0, "", 0, (after - before) / 2**20, "MB", 150),
        Row("the same for each of them", 0, "", 0, (after - before) / SLOW / 1024, "KiB", 150),
    ]


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def pages(port: int, host: str) -> list[float]:
    """Milliseconds for each of `PAGES` pages, over one connection, as a browser keeps it; anew where it was ended."""
    took: list[float] = []
    connection = connect(port, host)
    while len(took) < PAGES:
        began = time.perf_counter()
        try:
            connection.request("GET", "/sign-in", headers={"Host": host})
            with closing(connection.getresponse()) as answer:
                answer.read()
                assert answer.status == 200, answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
            connection = connect(port, host)
            continue
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    return took


def connect(port: int, host: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(host)
    plain = socket.create_connection(("127.0.0.1", port), SECONDS)
    # The certificate is not what is measured.
    connection.sock = ssl._create_unverified_context().wrap_socket(plain, server_hostname="localhost")
    return connection


@contextmanager
def serving(settings: Settings) -> Generator[tuple[int, int]]:
    """`strongroom web` in a process tree of its own: port, and process that began it."""
    https, http_port = free_port(), free_port()
    command = [sys.executable, "-P", "-m", "strongroom", "--home", str(settings.home), "web"]
    options = [f"--https-port={https}", f"--http-port={http_port}"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    try:
        wait_until(https)
        yield https, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def slow_callers(port: int, host: str) -> Generator[None]:
    """As many of them, connected."""
    command = [sys.executable, str(HERE / "slow_callers.py"), str(port), host, str(SLOW)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def wait_until(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            connect(port, "localhost").close()
            return
        time.sleep(0.1)
    raise RuntimeError("The portal does not answer.")


def resident(process: int) -> float:
    """Bytes of memory of a process and all that descend from it; what they share counts once for each."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    wanted, total = [process], 0.0
    while wanted:
        one = wanted.pop()
        wanted += children.get(one, [])
        with suppress(OSError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total
