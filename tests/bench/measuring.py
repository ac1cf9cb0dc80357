"""What the benches share: interleaved timing, rows of the result, and a throw-away installation."""

import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from strongroom.config.settings import SETTINGS_FILE, Settings, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.setup import set_up
from strongroom.provisioning.spares import refill

MEMORY = Path("/dev/shm")
_ROOM = 8 * 2**30  # bytes: a hundred databases and the log of their making


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement beside its baseline of the same run. Times in milliseconds; `target` bounds `value`.

    `unit` is “×”, “ms”, “MB” …; a figure that is no time leaves `ours_ms` and `baseline_ms` at 0.
    """

    what: str
    ours_ms: float
    baseline: str
    baseline_ms: float
    value: float
    unit: str
    target: float | None
    at_least: bool = False  # the target is a lower bound

    @property
    def verdict(self) -> str:
        if self.target is None:
            return "–"
        reached = self.value >= self.target if self.at_least else self.value <= self.target
        missed = self.target / self.value if self.at_least else self.value / self.target
        return "reached" if reached else f"missed: {missed:.2f} times"


def ratio(what: str, ours: float, baseline: str, base: float, target: float | None) -> Row:
    return Row(what, ours, baseline, base, ours / base, "×", target)


def interleaved(
    first: Callable[[int], object], second: Callable[[int], object], rounds: int, each: int
) -> tuple[float, float]:
    """Milliseconds per turn of both, the median over rounds that alternate, so that a busy machine slows both.

    Each function is called with the number of turns it should do.
    """
    times: dict[int, list[float]] = {0: [], 1: []}
    gc.disable()
    try:
        for turn in range(rounds * 2):
            which = (turn + turn // 2) % 2  # first, second, second, first …
            began = time.perf_counter()
            (first, second)[which](each)
            times[which].append((time.perf_counter() - began) * 1000 / each)
    finally:
        gc.enable()
    return statistics.median(times[0]), statistics.median(times[1])


@contextmanager
def installation() -> Generator[Platform]:
    """A fresh home with a running server, opened."""
    with installed() as (_, settings), open_platform(settings) as platform:
        yield platform


@contextmanager
def installed(where: Path | None = None) -> Generator[tuple[EmbeddedServer, Settings]]:
    """A fresh home with a running server, `where` or on the disk that holds the temporary files."""
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=where) as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        home.mkdir()
        (home / SETTINGS_FILE).write_text("spare_databases = 0\nmetrics_port = 0\n", encoding="utf-8")
        settings = load_settings(home)
        server = EmbeddedServer(settings)
        set_up(settings, server)
        with server.session():
            yield server, settings


@contextmanager
def spares_ready(platform: Platform, count: int) -> Generator[Platform]:
    """The same platform with so many spare databases ready on each server, and settings that want them."""
    wanting = replace(platform, settings=replace(platform.settings, spare_databases=count))
    while refill(wanting):
        pass
    yield wanting


def places() -> dict[str, Path | None]:
    """Where installations may lie: with the temporary files, and in memory if there is enough of it."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > _ROOM
    return {"on disk": None, **({"in memory": MEMORY} if roomy else {})}


def new_tenant(platform: Platform, slug: str) -> Tenant:
    return provision(platform, pending_tenant(platform, slug).id)


def pending_tenant(platform: Platform, slug: str) -> Tenant:
    with platform.control.begin() as conn:
        return request_tenant(
            conn, platform.settings, platform.keys, slug=slug, name="Bench", owner_email="owner@example.com"
        )
