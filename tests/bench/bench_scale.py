"""Ten to 2,000 tenants on one server: throughput, waiting times, memory, idle load and restart after a crash.

`STRONGROOM_BENCH_TENANTS` sets the largest number (2,000 when not set, which takes about a quarter of an hour).
"""

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import psycopg
from contenders import NAME, SQL, LruCache, NaiveLru, Strongroom
from driving import Contender, Load, Outcome, drive
from making import let_in, make_tenants, say
from measuring import Row, installed
from pictures import draw_scale

from strongroom.config.settings import Settings, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.postmaster import running_pid

MOST = int(os.environ.get("STRONGROOM_BENCH_TENANTS", "2000"))
STEPS = sorted({min(MOST, step) for step in (10, 100, 1000, 2000)})
SMALL, MIDDLE = 100, 600  # connections of all processes together
PROCESSES = 2


@dataclass
class Figures:
    """What the pictures show, by contender and by number of tenants; and the same as rows."""

    throughput: dict[str, dict[int, float]] = field(default_factory=dict)
    slowest: dict[str, dict[int, float]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def note(self, contender: str, tenants: int, outcome: Outcome) -> None:
        """Keep one outcome."""
        middle, slow = outcome.percentile(50), outcome.percentile(99)
        self.throughput.setdefault(contender, {})[tenants] = outcome.throughput
        self.slowest.setdefault(contender, {})[tenants] = slow
        what = f"{contender}, {tenants} tenants (Zipf): p99; {outcome.errors} errors"
        self.rows.append(Row(what, slow, "p50", middle, outcome.throughput, "requests/s", None))
        say(f"{what} {slow:.1f} ms, {outcome.throughput:.0f} requests/s\n")


def measure() -> list[Row]:
    figures = Figures()
    with _many_tenants() as (server, settings):
        rows = [
            *_budgets(settings.home, figures),
            *_open_loop(settings.home),
            _unrouted(settings.home, threads=1),
            _unrouted(settings.home, threads=4),
            _memory(settings),
            _idle(server),
            _restart(server, settings.home),
        ]
    draw_scale(figures.throughput, figures.slowest)
    return rows


@contextmanager
def _many_tenants() -> Generator[tuple[EmbeddedServer, Settings]]:
    """An installation with MOST tenants, whose server carries a connection for each of them."""
    with installed() as (server, settings):
        let_in(server, settings, MOST + 150)
        make_tenants(settings.home, MOST)
        yield server, settings


def _budgets(home: Path, figures: Figures) -> list[Row]:
    """Throughput and p99 over the number of tenants, with fewer and with more connections than are in use."""
    contenders: dict[str, Contender] = {
        f"naive LRU, {SMALL} connections": NaiveLru(home, SMALL // PROCESSES),
        f"Strongroom, {SMALL} connections": Strongroom(home, SMALL // PROCESSES),
        f"Strongroom, {SMALL} connections, no affinity": Strongroom(home, SMALL // PROCESSES, affinity=False),
        f"Strongroom, {MIDDLE} connections": Strongroom(home, MIDDLE // PROCESSES),
        "Strongroom, a connection for each": Strongroom(home, (MOST + 100) // PROCESSES),
    }
    for name, contender in contenders.items():
        for tenants in STEPS:
            figures.note(name, tenants, drive(contender, Load(tenants, processes=PROCESSES)))
    return [*figures.rows, *_against_naive(figures), _flat(figures)]


def _against_naive(figures: Figures) -> list[Row]:
    ours = figures.throughput[f"Strongroom, {SMALL} connections"]
    naive = figures.throughput[f"naive LRU, {SMALL} connections"]
    targets = {100: 8.0, 1000: 2.3}
    return [
        Row(
            f"throughput, {tenants} tenants (Zipf), {SMALL} connections: {ours[tenants]:,.0f} requests a second",
            0,
            f"naive LRU: {naive[tenants]:,.0f}",
            0,
            ours[tenants] / naive[tenants],
            "×",
            targets.get(tenants),
            at_least=True,
        )
        for tenants in STEPS
    ]


def _flat(figures: Figures) -> Row:
    slowest = figures.slowest["Strongroom, a connection for each"]
    first, last = slowest[STEPS[0]], slowest[STEPS[-1]]
    what = f"p99 with {STEPS[-1]} tenants, a connection for each"
    return Row(what, last, f"p99 with {STEPS[0]} tenants", first, last / first, "×", 1.5)


def _open_loop(home: Path) -> list[Row]:
    """People do not wait for each other: requests come at a rate of their own."""
    tenants = min(MOST, 1000)
    rows: list[Row] = []
    for budget, target in ((MIDDLE, 10.0), (SMALL, None)):
        outcome = drive(Strongroom(home, budget // PROCESSES), Load(tenants, seconds=10, rate=100))
        middle, slow = outcome.percentile(50), outcome.percentile(99)
        what = f"p99, 100 requests a second to {tenants} tenants, {budget} connections"
        rows.append(Row(what, slow, "p50", middle, slow, "ms", target))
    return rows


@dataclass(frozen=True)
class Unrouted:
    """The limit: each thread holds a connection to each tenant; nothing is looked up, shared or bounded."""

    home: Path
    affinity: bool = True

    @contextmanager
    def opened(self) -> Generator[Callable[[int], object]]:
        """Yield a request that pays nothing for being routed."""
        with open_platform(load_settings(self.home)) as platform:
            cache, own = LruCache(platform, 1000), threading.local()

            def request(index: int) -> object:
                mine: dict[int, psycopg.Connection] = own.__dict__.setdefault("connections", {})
                if index not in mine:
                    mine[index] = cache.take(index)
                return mine[index].execute(SQL, (NAME,)).fetchone()

            yield request


def _unrouted(home: Path, threads: int) -> Row:
    """All tenants fit into the budget, so what is left is what routing itself costs under load."""
    load = Load(STEPS[0], seconds=2, threads=threads)
    pairs = [(drive(Strongroom(home, 50), load), drive(Unrouted(home), load)) for _ in range(4)]
    routed, limit = (statistics.median(pair[which].throughput for pair in pairs) for which in (0, 1))
    what = f"routed throughput, all tenants fit, threads in each of 2 processes: {threads}; {routed:,.0f} requests/s"
    return Row(what, 0, f"no routing at all: {limit:,.0f}", 0, routed / limit, "×", 0.9, at_least=True)


def _memory(settings: Settings) -> Row:
    """What a web process keeps for each tenant that it has served, without connections to it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as one:
        kilobytes = one.submit(_kilobytes_per_tenant, settings.home).result()
    return Row("memory of a web process for each tenant it has served", 0, "", 0, kilobytes, "kB", None)


def _kilobytes_per_tenant(home: Path) -> float:
    with open_platform(load_settings(home, connection_budget=10)) as platform:
        hosts = [f"bench-{number:04}.localhost" for number in range(MOST)]
        _ask(platform, hosts[:20])
        before = _resident()
        _ask(platform, hosts)
        return (_resident() - before) / len(hosts) / 1024


def _ask(platform: Platform, hosts: list[str]) -> None:
    for host in hosts:
        with platform.registry.borrow(platform.registry.resolve(host)) as conn:
            conn.execute(SQL, (NAME,)).fetchone()


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _idle(server: EmbeddedServer) -> Row:
    """Share of one core that the server's processes use while nobody asks for anything."""
    seconds, family = 60.0, _family(server)
    began = sum(map(_ticks, family))
    time.sleep(seconds)
    used = (sum(map(_ticks, _family(server))) - began) / os.sysconf("SC_CLK_TCK")
    what = f"processor time of the idle server with {MOST} databases, of one core"
    return Row(what, 0, "", 0, used / seconds * 100, "%", None)


def _family(server: EmbeddedServer) -> list[int]:
    """The server's process and its children. What a child that has ended used counts with its parent."""
    parent = _postmaster(server)
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return [parent, *map(int, children)]


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(int(fields[at]) for at in (11, 12, 13, 14))  # user and system, own and of children (man proc_pid_stat)


def _restart(server: EmbeddedServer, home: Path) -> Row:
    """From the start after a `kill -9` of the server to the first connection, with ordinary writing to be replayed.

    Right after thousands of databases were made it takes as long as the disk needs to write them.
    """
    with server.admin_door(), server.connect_admin() as admin:
        admin.execute("CHECKPOINT")
    _write(home, min(MOST, 100))
    os.kill(_postmaster(server), signal.SIGKILL)
    while server.is_running():
        time.sleep(0.01)
    began = time.perf_counter()
    server.start()
    seconds = time.perf_counter() - began
    return Row(f"crash restart with {MOST} databases", seconds * 1000, "", 0, seconds, "s", 3.0)


def _write(home: Path, tenants: int) -> None:
    with open_platform(load_settings(home)) as platform:
        for number in range(tenants):
            tenant = platform.registry.resolve(f"bench-{number:04}.localhost")
            with platform.registry.connect(tenant) as conn, conn.begin():
                conn.exec_driver_sql("INSERT INTO app.setting (key, value) VALUES ('bench', '1')")


def _postmaster(server: EmbeddedServer) -> int:
    pid = running_pid(server._cluster.data)
    assert pid, "it runs"
    return pid
