"""Many requests to many tenants from several processes, as a web server would make them: closed loop and open loop."""

import multiprocessing
import random
import threading
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from multiprocessing.synchronize import Barrier
from typing import Any, Protocol

Request = Callable[[int], object]  # makes one request to the tenant of that index
_WARM_SECONDS = 3.0  # the share of connections of each process settles within two heartbeats


class Contender(Protocol):
    """What is measured; handed to each process, so it must be picklable."""

    @property
    def affinity(self) -> bool:
        """Whether a tenant's requests all go to the same process."""
        ...

    def opened(self) -> AbstractContextManager[Request]:
        """Yield what makes requests, in the process that will make them."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """Who asks: `tenants` by Zipf's law, from `processes` with `threads` each; `rate` is that of an open loop."""

    tenants: int
    seconds: float = 4.0
    processes: int = 2
    threads: int = 4  # as many as a web process has (`web_threads`)
    rate: float = 0.0  # per second and in all; 0: each thread asks again as soon as it has an answer
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out: `latencies` in milliseconds, sorted."""

    latencies: list[float]
    errors: int
    seconds: float

    @property
    def throughput(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Milliseconds within which so many percent were answered."""
        if not self.latencies:
            return float("inf")
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))]


def zipf(tenants: int, seed: int) -> Iterator[int]:
    """Yield tenants' indices for ever, the k-th most popular with a weight of 1/k (Zipf's law, exponent 1)."""
    weights = list(accumulate(1 / rank for rank in range(1, tenants + 1)))
    source = random.Random(seed)
    while True:
        yield bisect(weights, source.random() * weights[-1])


def drive(contender: Contender, load: Load) -> Outcome:
    """Put the load on the contender. Raises `RuntimeError` when a process fails altogether."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    gate = context.Barrier(load.processes)
    children = [
        context.Process(target=_process, args=(contender, load, number, gate, answers), daemon=True)
        for number in range(load.processes)
    ]
    for child in children:
        child.start()
    parts: list[tuple[list[float], int] | None] = [answers.get(timeout=300) for _ in children]
    for child in children:
        child.join()
    if None in parts:
        raise RuntimeError("A process of the load failed; its traceback stands above.")
    every = [latency * 1000 for part in parts if part for latency in part[0]]
    return Outcome(sorted(every), sum(part[1] for part in parts if part), load.seconds)


def _process(contender: Contender, load: Load, number: int, gate: Barrier, answers: Any) -> None:
    result = None
    try:
        with contender.opened() as request:
            _ask_each(contender, load, number, request)
            result = _threads(contender, load, number, gate, request)
    finally:
        gate.abort() if result is None else None
        answers.put(result)


def _ask_each(contender: Contender, load: Load, number: int, request: Request) -> None:
    """Every tenant has been there before, the most popular ones last: what is measured is not the first morning."""
    own = [index for index in range(load.tenants) if not contender.affinity or index % load.processes == number]
    with ThreadPoolExecutor(load.threads) as askers, suppress(Exception):
        list(askers.map(request, reversed(own)))


def _threads(contender: Contender, load: Load, number: int, gate: Barrier, request: Request) -> tuple[list[float], int]:
    results: list[tuple[list[float], int]] = []
    ends = threading.Event()
    counts = threading.Event()
    picks = [partial(_picks, contender, load, number, thread) for thread in range(load.threads)]
    loop = _open_loop if load.rate else _closed_loop
    runners = [
        threading.Thread(target=lambda pick=pick: results.append(loop(load, pick(), request, counts, ends)))
        for pick in picks
    ]
    for runner in runners:
        runner.start()
    time.sleep(_WARM_SECONDS)
    gate.wait()
    counts.set()
    time.sleep(load.seconds)
    ends.set()
    for runner in runners:
        runner.join()
    latencies: list[float] = []
    for part, _ in results:
        latencies.extend(part)
    return latencies, sum(errors for _, errors in results)


def _picks(contender: Contender, load: Load, number: int, thread: int) -> Iterator[int]:
    """Yield the tenants that this thread asks for: with affinity those that belong to its process."""
    for index in zipf(load.tenants, load.seed + 1000 * number + thread):
        if not contender.affinity or index % load.processes == number:
            yield index


def _closed_loop(
    _load: Load, picks: Iterator[int], request: Request, counts: threading.Event, ends: threading.Event
) -> tuple[list[float], int]:
    latencies, errors = list[float](), 0
    while not ends.is_set():
        index = next(picks)
        began = time.perf_counter()
        try:
            request(index)
        except Exception:  # noqa: BLE001 - whatever a peer raises under load is counted, not judged
            errors += counts.is_set()
        else:
            if counts.is_set():
                latencies.append(time.perf_counter() - began)
    return latencies, errors


def _open_loop(
    load: Load, picks: Iterator[int], request: Request, counts: threading.Event, ends: threading.Event
) -> tuple[list[float], int]:
    """Ask at times that do not depend on the answers; a late start counts as waiting (no coordinated omission)."""
    latencies, errors = list[float](), 0
    source = random.Random(load.seed)
    rate = load.rate / load.processes / load.threads
    due = time.perf_counter()
    while not ends.is_set():
        due += source.expovariate(rate)
        time.sleep(max(0.0, due - time.perf_counter()))
        try:
            request(next(picks))
        except Exception:  # noqa: BLE001 - as above
            errors += counts.is_set()
        else:
            if counts.is_set():
                latencies.append(time.perf_counter() - due)
    return latencies, errors
