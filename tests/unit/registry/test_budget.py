import random
import threading
import time
from collections import Counter

import pytest

from strongroom.config.errors import UnavailableError
from strongroom.platform.registry import ledger
from strongroom.platform.registry.budget import PATIENCE, Budget
from strongroom.platform.registry.ledger import FAIRNESS


class Conn:
    """Stands for a connection: the budget only ever closes it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Harness:
    def __init__(self, size: int, per_key: int = 4) -> None:
        self.budget: Budget[Conn] = Budget(size, per_key)
        self.made: list[Conn] = []

    def take(self, key: str, timeout: float = 30) -> Conn:
        return self.budget.acquire(key, lambda: self._make(key), timeout)

    def give(self, conn: Conn) -> None:
        self.budget.release(conn.key, conn)

    def _make(self, key: str) -> Conn:
        conn = Conn(key)
        self.made.append(conn)
        return conn

    def open(self) -> int:
        return sum(not c.closed for c in self.made)


def test_a_returned_connection_is_used_again_by_its_own_key_only() -> None:
    h = Harness(4)
    first = h.take("a")
    h.give(first)
    assert h.take("b") is not first
    assert h.take("a") is first


def test_the_least_recently_used_idle_connection_makes_room() -> None:
    h = Harness(3)
    a, b, c = h.take("a"), h.take("b"), h.take("c")
    for conn in (b, a, c):
        h.give(conn)
    d = h.take("d")
    assert b.closed
    assert not a.closed
    assert not c.closed
    assert h.open() == 3
    assert d.key == "d"
    assert h.budget.counters().evictions == 1


def test_exhausted_budget_waits_until_the_deadline_and_says_when_to_come_back() -> None:
    h = Harness(1)
    h.take("a")
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        h.take("b", timeout=0.05)
    assert 0.04 <= time.monotonic() - began < 5
    assert caught.value.retry_after > 0
    counters = h.budget.counters()
    assert (counters.timeouts, counters.waiting, counters.open) == (1, 0, 1)


def test_the_ceiling_of_one_key_leaves_room_for_the_others() -> None:
    h = Harness(10, per_key=2)
    h.take("a")
    h.take("a")
    with pytest.raises(UnavailableError):
        h.take("a", timeout=0.02)
    h.take("b")


def test_a_waiter_gets_the_connection_that_its_own_key_returns() -> None:
    h = Harness(1)
    busy = h.take("a")
    got: list[Conn] = []
    thread = threading.Thread(target=lambda: got.append(h.take("a", 30)))
    thread.start()
    _until(lambda: h.budget.counters().waiting == 1)
    h.give(busy)
    thread.join()
    assert got == [busy]


def test_a_waiter_of_another_key_gets_the_place_and_the_old_connection_is_closed() -> None:
    h = Harness(1)
    busy = h.take("a")
    got: list[Conn] = []
    thread = threading.Thread(target=lambda: got.append(h.take("b", 30)))
    thread.start()
    _until(lambda: h.budget.counters().waiting == 1)
    h.give(busy)
    thread.join()
    assert busy.closed
    assert got[0].key == "b"
    assert h.open() == 1


def test_at_the_budget_the_own_busy_connection_is_awaited_before_another_is_evicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("strongroom.platform.registry.budget.PATIENCE", 20.0)  # however busy this machine is
    h = Harness(2)
    mine, other = h.take("a"), h.take("b")
    h.give(other)
    threading.Timer(PATIENCE / 5, lambda: h.give(mine)).start()
    assert h.take("a", 20) is mine
    assert not other.closed


def test_patience_ends_and_the_idle_connection_of_another_key_goes() -> None:
    h = Harness(2)
    h.take("a")
    other = h.take("b")
    h.give(other)
    again = h.take("a")
    assert other.closed
    assert again.key == "a"


def test_a_busy_key_with_a_queue_cannot_starve_another_one() -> None:
    h = Harness(1)
    busy = h.take("noisy")
    got: list[str] = []

    def wait(key: str) -> None:
        conn = h.take(key, 30)
        got.append(conn.key)
        h.give(conn)

    threads = [threading.Thread(target=wait, args=("quiet",))]
    threads[0].start()
    _until(lambda: h.budget.counters().waiting == 1)
    for n in range(3):
        threads.append(threading.Thread(target=wait, args=("noisy",)))
        threads[-1].start()
        _until(lambda n=n: h.budget.counters().waiting == n + 2)
    time.sleep(FAIRNESS + 0.05)
    h.give(busy)
    for thread in threads:
        thread.join()
    assert got[0] == "quiet"


def test_a_discarded_connection_is_closed_and_frees_its_place() -> None:
    h = Harness(1)
    conn = h.take("a")
    h.budget.discard("a", conn)
    assert conn.closed
    h.take("b")


def test_a_failed_connect_frees_its_place() -> None:
    h = Harness(1)

    def fail() -> Conn:
        raise UnavailableError("server down")

    for _ in range(3):
        with pytest.raises(UnavailableError, match="server down"):
            h.budget.acquire("a", fail, 0.1)
    h.take("a")


def test_retiring_closes_idle_connections_now_and_busy_ones_when_they_return() -> None:
    h = Harness(4)
    idle, busy = h.take("a"), h.take("a")
    h.give(idle)
    h.budget.retire("a")
    assert idle.closed
    assert not busy.closed
    h.give(busy)
    assert busy.closed
    assert h.budget.counters().open == 0


def test_closing_refuses_new_use_and_closes_what_returns() -> None:
    h = Harness(4)
    idle, busy = h.take("a"), h.take("a")
    h.give(idle)
    h.budget.close()
    assert idle.closed
    with pytest.raises(UnavailableError):
        h.take("b")
    h.give(busy)
    assert busy.closed
    assert h.open() == 0


def test_at_most_two_connections_are_opened_at_once() -> None:
    budget: Budget[Conn] = Budget(20, 20)
    lock = threading.Lock()
    now = most = 0

    def slow() -> Conn:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return Conn("a")

    threads = [threading.Thread(target=lambda: budget.acquire("a", slow, 30)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


@pytest.mark.parametrize(("size", "keys"), [(1, 3), (3, 10), (8, 4)])
def test_under_threads_no_connection_is_lent_twice_or_to_another_key(size: int, keys: int) -> None:
    h = Harness(size, per_key=2)
    in_use: Counter[int] = Counter()
    lock = threading.Lock()
    wrong: list[str] = []
    served: Counter[str] = Counter()

    def work(seed: int) -> None:
        pick = random.Random(seed)
        for _ in range(300):
            key = f"k{pick.randrange(keys)}"
            try:
                conn = h.take(key, 1)
            except UnavailableError:
                continue
            with lock:
                in_use[id(conn)] += 1
                if conn.key != key or conn.closed or in_use[id(conn)] != 1 or h.open() > size:
                    wrong.append(key)
                served[key] += 1
            if pick.random() < 0.2:
                time.sleep(0.0002)
            with lock:
                in_use[id(conn)] -= 1
            action = pick.random()
            if action < 0.1:
                h.budget.discard(key, conn)
            else:
                h.give(conn)
            if action > 0.98:
                h.budget.retire(key)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counters = h.budget.counters()
    assert not wrong
    assert sum(served.values()) > 1000
    assert (counters.busy, counters.waiting) == (0, 0)
    assert counters.open == h.open() <= size


def _until(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_growing_serves_those_who_wait() -> None:
    h = Harness(1)
    h.take("a")
    got: list[Conn] = []
    thread = threading.Thread(target=lambda: got.append(h.take("b", 30)))
    thread.start()
    _until(lambda: h.budget.counters().waiting == 1)
    h.budget.resize(2)
    thread.join()
    assert got[0].key == "b"
    assert h.open() == 2


def test_shrinking_closes_what_is_idle_now_and_what_is_busy_when_it_returns() -> None:
    h = Harness(4)
    a, b, c, d = (h.take(key) for key in "abcd")
    h.give(a)
    h.give(b)
    h.budget.resize(1)
    assert (a.closed, b.closed) == (True, True)
    assert h.budget.places() == 2
    h.give(c)
    assert c.closed
    h.give(d)
    assert not d.closed
    assert h.budget.places() == 1


def test_a_place_counts_as_taken_until_its_connection_is_really_closed() -> None:
    seen: list[int] = []

    def close(connections: list[Conn]) -> None:
        seen.append(budget.places())
        for connection in connections:
            connection.close()

    budget: Budget[Conn] = Budget(2, 4, close=close)
    for key in "ab":
        budget.release(key, budget.acquire(key, lambda key=key: Conn(key), 30))
    budget.resize(0)
    assert seen == [2]
    assert budget.places() == 0


def test_whoever_gives_places_up_tells_when_they_are_free() -> None:
    woken: list[int] = []
    budget: Budget[Conn] = Budget(2, 4, wake=lambda: woken.append(budget.places()))
    conn = budget.acquire("a", lambda: Conn("a"), 30)
    budget.resize(0)
    assert woken == []
    budget.release("a", conn)
    assert woken == [0]


def test_when_the_lease_has_run_out_nothing_is_opened_beyond_what_is_held() -> None:
    h = Harness(3)
    first = h.take("a")
    h.budget.resize(3, until=time.monotonic() - 1)
    with pytest.raises(UnavailableError):
        h.take("b", timeout=0.02)
    h.give(first)
    h.take("b")  # in the place that was there
    assert h.open() == 1


def test_where_there_may_be_more_places_nothing_is_closed_before_they_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("strongroom.platform.registry.budget.GROWTH", 20.0)
    asked = threading.Event()
    budget: Budget[Conn] = Budget(1, 4, most=10, wake=asked.set)
    first = budget.acquire("a", lambda: Conn("a"), 30)
    budget.release("a", first)
    growing = threading.Thread(target=lambda: (asked.wait(30), budget.resize(2, may_grow=True)))
    growing.start()
    budget.acquire("b", lambda: Conn("b"), 30)
    growing.join()
    assert not first.closed


def test_a_tenant_without_any_connection_goes_before_one_that_has_some() -> None:
    h = Harness(3)
    busy = [h.take("noisy"), h.take("noisy"), h.take("other")]
    order: list[str] = []

    def wait(key: str) -> None:
        order.append(h.take(key, 30).key)

    threads = [threading.Thread(target=wait, args=("noisy",))]
    threads[0].start()
    _until(lambda: h.budget.counters().waiting == 1)
    _until(lambda: h.budget.counters().waits >= 1)  # its patience is over: it waits for a place, too
    threads.append(threading.Thread(target=wait, args=("quiet",)))
    threads[1].start()
    _until(lambda: h.budget.counters().waiting == 2)
    h.budget.discard("other", busy[2])
    _until(lambda: bool(order))
    assert order == ["quiet"]
    h.give(busy[0])
    for thread in threads:
        thread.join()


def test_when_the_place_of_another_connection_helps_more_the_one_returned_still_goes_to_its_own_tenant() -> None:
    budget: Budget[Conn] = Budget(2, 1, most=3)
    budget.release("z", budget.acquire("z", lambda: Conn("z"), 30))
    budget.resize(2, may_grow=True)  # so that whoever comes waits for growth, and none is closed meanwhile
    of_a = budget.acquire("a", lambda: Conn("a"), 30)
    got: dict[str, Conn] = {}

    def wait(key: str) -> None:
        got[key] = budget.acquire(key, lambda: Conn(key), 30)

    threads = [threading.Thread(target=wait, args=(key,)) for key in ("b", "a")]
    since = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strongroom.platform.registry.budget.GROWTH", 10)
        for number, thread in enumerate(threads):
            thread.start()
            _until(lambda number=number: budget.counters().waiting == number + 1)
        _until(lambda: time.monotonic() - since > 2 * FAIRNESS)
        budget.release("a", of_a)
        for thread in threads:
            thread.join(30)
    assert got["a"] is of_a
    assert set(got) == {"a", "b"}


def test_one_noisy_tenant_cannot_starve_the_others() -> None:
    h = Harness(4, per_key=4)
    done = threading.Event()
    served: Counter[str] = Counter()
    lock = threading.Lock()

    def noise() -> None:
        while not done.is_set():
            conn = h.take("noisy", 30)
            time.sleep(0.001)
            h.give(conn)

    def quiet(key: str) -> None:
        for _ in range(10):
            conn = h.take(key, 30)
            with lock:
                served[key] += 1
            h.give(conn)

    noisy = [threading.Thread(target=noise) for _ in range(12)]
    others = [threading.Thread(target=quiet, args=(f"quiet{n}",)) for n in range(3)]
    for thread in (*noisy, *others):
        thread.start()
    for thread in others:
        thread.join(60)
    done.set()
    for thread in noisy:
        thread.join()
    assert served == {"quiet0": 10, "quiet1": 10, "quiet2": 10}
    assert h.budget.counters().timeouts == 0


def test_uses_are_counted_by_tenant_beyond_the_life_of_its_connections() -> None:
    h = Harness(1)
    for key, times in (("a/1", 3), ("b/1", 2), ("a/2", 1)):
        for _ in range(times):
            h.give(h.take(key))
    busiest = h.budget.busiest(5)
    assert [(usage.tenant, usage.uses, usage.open) for usage in busiest] == [("a", 4, 1), ("b", 2, 0)]
    assert len(h.budget.busiest(1)) == 1


def test_nobody_waits_for_a_server_that_is_known_to_be_down() -> None:
    def gate() -> None:
        raise UnavailableError("down")

    budget: Budget[Conn] = Budget(0, 4, gate=gate)
    with pytest.raises(UnavailableError, match="down"):
        budget.acquire("a", lambda: Conn("a"), 30)


def test_what_a_process_without_work_keeps_open_counts_no_longer_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    h = Harness(5)
    h.take("a")
    h.give(h.take("b"))
    assert h.budget.demand().places == 2
    monkeypatch.setattr(ledger, "IDLE_SECONDS", 0.0)
    assert h.budget.demand().places == 1
