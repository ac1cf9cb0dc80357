from strongroom.platform.registry.ranking import Ranking


def never(_: str) -> bool:
    return False


def always(_: str) -> bool:
    return True


def ranking(places: int = 10) -> Ranking[str]:
    made = Ranking[str]()
    made.fit(places)
    return made


def use_twice(ranked: Ranking[str], *names: str) -> None:
    """Each is opened, comes back, is used again and comes back."""
    for name in names:
        ranked.add(name, name, is_duplicate=False)
        ranked.use(name)
        ranked.add(name, name, is_duplicate=False)


def test_nothing_goes_when_nothing_is_idle() -> None:
    assert ranking().first_to_go(never) is None


def test_a_second_connection_goes_before_any_only_one() -> None:
    ranked = ranking()
    ranked.add("once", "a", is_duplicate=False)
    ranked.add("second", "b", is_duplicate=True)
    assert ranked.first_to_go(always) == ("second", "b")
    assert ranked.first_to_go(always) == ("once", "a")


def test_a_second_connection_whose_other_was_closed_counts_like_any() -> None:
    ranked = ranking()
    ranked.add("was second", "b", is_duplicate=True)
    use_twice(ranked, "proven")
    ranked.add("older", "a", is_duplicate=False)
    assert ranked.first_to_go(never) == ("older", "a")
    assert ranked.first_to_go(never) == ("was second", "b")


def test_one_that_was_used_once_goes_before_one_that_was_used_again() -> None:
    ranked = ranking()
    use_twice(ranked, "proven")
    ranked.add("new", "new", is_duplicate=False)
    assert ranked.first_to_go(never) == ("new", "new")
    assert ranked.first_to_go(never) == ("proven", "proven")


def test_within_a_segment_the_least_recently_used_goes_first() -> None:
    ranked = ranking()
    use_twice(ranked, "a", "b", "c")
    ranked.use("a")
    ranked.add("a", "a", is_duplicate=False)
    assert [ranked.first_to_go(never) for _ in range(3)] == [("b", "b"), ("c", "c"), ("a", "a")]


def test_what_is_pushed_out_of_the_protected_segment_must_prove_itself_again() -> None:
    ranked = ranking(places=5)  # four of them protected
    use_twice(ranked, "a", "b", "c", "d", "e")
    ranked.add("new", "new", is_duplicate=False)
    assert ranked.first_to_go(never) == ("a", "a")
    assert ranked.first_to_go(never) == ("new", "new")
    assert len(ranked) == 4


def test_a_closed_connection_leaves_nothing_behind() -> None:
    ranked = ranking()
    use_twice(ranked, "a")
    ranked.forget("a")
    assert len(ranked) == 0
    ranked.add("a", "a", is_duplicate=False)  # another one of the same name has proved nothing yet
    use_twice(ranked, "b")
    assert ranked.first_to_go(never) == ("a", "a")
