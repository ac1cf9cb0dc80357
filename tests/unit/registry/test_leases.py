import random

from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.platform.registry.leases import FLOOR, Claim, grant, headroom, limit_of, shares, wanted
from strongroom.platform.registry.places import Demand


def test_who_wants_less_than_its_share_gets_all_and_the_rest_is_divided() -> None:
    assert shares(100, {"a": 10, "b": 200, "c": 200}) == {"a": 10, "b": 45, "c": 45}
    assert shares(100, {"a": 10, "b": 20}) == {"a": 10, "b": 20}
    assert shares(7, {"a": 9, "b": 9}) == {"a": 4, "b": 3}
    assert shares(1, {"a": 9, "b": 9}) == {"a": 1, "b": 0}


@given(st.integers(0, 700), st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 600), min_size=1))
def test_shares_never_exceed_what_there_is_and_are_max_min_fair(places: int, wants: dict[str, int]) -> None:
    given_ = shares(places, wants)
    assert sum(given_.values()) == min(places, sum(wants.values()))
    unsatisfied = [given_[name] for name in wants if given_[name] < wants[name]]
    if unsatisfied:
        assert max(given_.values()) <= min(unsatisfied) + 1


def test_alone_a_process_gets_what_it_wants_and_may_grow() -> None:
    alone = grant(100, Claim("a", 0, 30), [])
    assert (alone.size, alone.may_grow, alone.is_starved) == (30, True, False)


def test_the_headroom_is_kept_back_for_processes_that_start() -> None:
    kept = headroom(100)
    assert grant(100, Claim("a", 0, 500), []).size == 100 - kept
    newcomer = grant(100, Claim("b", 0, 50), [Claim("a", 100 - kept, 500)])
    assert FLOOR <= newcomer.size <= kept
    assert newcomer.is_starved


def test_who_has_too_much_gives_it_up_and_the_others_wait_for_it() -> None:
    noisy = Claim("noisy", 92, 500)
    quiet = Claim("quiet", 2, 20)
    assert grant(100, noisy, [quiet]).size == 100 - headroom(100) - 20
    assert grant(100, quiet, [noisy]).size == 2
    assert grant(100, quiet, [Claim("noisy", 72, 500)]).size == 20


def test_what_an_idle_process_keeps_is_given_up_only_when_somebody_needs_it() -> None:
    idle = Claim("idle", 60, FLOOR)
    assert grant(100, idle, [Claim("busy", 10, 20)]).size == 60
    assert grant(100, idle, [Claim("busy", 32, 70)]).size == 100 - headroom(100) - 70


def test_a_limit_too_small_for_all_is_never_exceeded() -> None:
    others = [Claim(f"p{n}", 1, 10) for n in range(3)]
    assert grant(3, Claim("q", 0, 10), others).size == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 12), st.integers())
def test_whatever_the_order_the_sum_stays_within_the_limit_and_becomes_fair(
    limit: int, processes: int, seed: int
) -> None:
    pick = random.Random(seed)
    wants = {f"p{n}": pick.randint(1, 150) for n in range(processes)}
    held: dict[str, int] = {}
    busy: dict[str, int] = {}

    def renew(name: str) -> None:
        others = [Claim(n, held[n], wants[n]) for n in held if n != name]
        size = grant(limit, Claim(name, held.get(name, 0), wants[name]), others).size
        held[name] = max(size, min(busy.get(name, 0), held.get(name, 0)))  # what is busy is not closed yet
        assert sum(held.values()) <= limit

    for _ in range(100):
        name = pick.choice(list(wants))
        busy[name] = pick.randint(0, 20)
        renew(name)
    busy.clear()
    for _ in range(4):
        for name in sorted(wants):
            renew(name)
    fair = shares(limit - headroom(limit), wants)
    assert limit < 2 * FLOOR * processes or all(held[name] >= min(fair[name], wants[name]) for name in wants)


def test_a_process_wants_what_it_has_what_waits_and_a_little_more() -> None:
    assert wanted(Demand(places=0, waiting=0, evictions=0), 60) == FLOOR
    assert wanted(Demand(places=0, waiting=0, evictions=0), 1) == 1
    assert wanted(Demand(places=10, waiting=3, evictions=2), 60) > 15
    assert wanted(Demand(places=10, waiting=3, evictions=200), 60) == 60


def test_the_platforms_own_connections_are_left_out_of_the_limit() -> None:
    assert limit_of(100, 3) == 77
    assert limit_of(600, 3) == 577
    assert limit_of(10, 3) == 2
