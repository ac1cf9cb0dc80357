from strongroom.backup.progress import Event, watching


def test_an_event_says_rate_and_remaining_time_where_they_are_known() -> None:
    assert str(Event("acme", "loading", 3, 8)) == "acme: loading (3 of 8)"
    assert str(Event("acme", "dumping", 1, 2, 30_000_000, None, 2)) == "acme: dumping (1 of 2, 30.0 MB, 15.0 MB/s)"
    loading = Event("acme", "loading", 3, 8, 30_000_000, 60_000_000, 2.0)
    assert (loading.rate, loading.remaining) == (15_000_000, 2.0)
    assert str(loading) == "acme: loading (3 of 8, 30.0 MB of 60.0 MB, 15.0 MB/s, 2 s left)"


def test_nothing_moved_yet_has_neither_rate_nor_end() -> None:
    nothing = Event("acme", "loading", 1, 1, 0, 100, 0.0)
    assert (nothing.rate, nothing.remaining) == (None, None)


def test_whoever_knows_better_says_what_is_left() -> None:
    assert str(Event("acme", "verified", 3, 4, left=7.4)) == "acme: verified (3 of 4, 7 s left)"


def test_bytes_are_told_of_every_two_seconds() -> None:
    now, seen = [0.0], list[Event]()
    watch = watching(seen.append, Event("acme", "loading", 3, 8, size=640), lambda: now[0])
    for _ in range(64):
        now[0] += 0.125
        watch(10)
    assert [(event.moved, event.size) for event in seen] == [(160, 640), (320, 640), (480, 640), (640, 640)]
    assert seen[0].remaining == 6.0
