"""SQL over counted tries. One statement counts and decides, so that of many at once none slips through.

All by the database's clock: the machines that ask may disagree about the time.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

_NOW = "clock_timestamp()"  # not now(): whoever waited for the row's lock would live in the past
_ACQUIRE = text(f"""
    INSERT INTO rate_limit AS known (key, hits, expires_at)
    VALUES (:key, array_fill({_NOW}, ARRAY[:amount]), {_NOW} + make_interval(secs => :seconds))
    ON CONFLICT (key) DO UPDATE
    SET hits = array_fill({_NOW}, ARRAY[:amount])
            || ARRAY(SELECT hit FROM unnest(known.hits) AS hit WHERE hit > {_NOW} - make_interval(secs => :seconds)),
        expires_at = {_NOW} + make_interval(secs => :seconds)
    WHERE :most >= :amount
        + (SELECT count(*) FROM unnest(known.hits) AS hit WHERE hit > {_NOW} - make_interval(secs => :seconds))
    RETURNING 1
""")  # noqa: S608 - only the constant above is put in
_WINDOW = text(f"""
    SELECT count(*), coalesce(extract(epoch FROM {_NOW} - min(hit)), 0)
    FROM rate_limit, unnest(hits) AS hit
    WHERE key = :key AND hit > {_NOW} - make_interval(secs => :seconds)
""")  # noqa: S608 - as above
_TRY = text(f"""
    INSERT INTO rate_limit AS known (key, count, free_at, expires_at)
    VALUES (:key, 1, {_NOW} + make_interval(secs => (CAST(:waits AS float8[]))[1]),
            {_NOW} + make_interval(secs => (CAST(:waits AS float8[]))[1] + :kept))
    ON CONFLICT (key) DO UPDATE
    SET (count, free_at, expires_at) = (
        SELECT next.count, {_NOW} + make_interval(secs => next.wait),
               {_NOW} + make_interval(secs => next.wait + :kept)
        FROM (
            SELECT tried.count,
                   (CAST(:waits AS float8[]))[least(tried.count, cardinality(CAST(:waits AS float8[])))] AS wait
            FROM (SELECT CASE WHEN known.expires_at > {_NOW} THEN known.count + 1 ELSE 1 END AS count) AS tried
        ) AS next
    )
    WHERE known.free_at <= {_NOW}
    RETURNING 1
""")  # noqa: S608 - as above
_GIVE_BACK = text(f"""
    UPDATE rate_limit SET count = greatest(count - 1, 0), free_at = {_NOW} WHERE key = :key AND count IS NOT NULL
""")  # noqa: S608 - as above
_WAIT = text(f"SELECT extract(epoch FROM free_at - {_NOW}) FROM rate_limit WHERE key = :key")  # noqa: S608 - as above
_CLEAR = text("DELETE FROM rate_limit WHERE key = :key")
_RESET = text("DELETE FROM rate_limit")
_SWEEP = text("DELETE FROM rate_limit WHERE expires_at < now()")


def acquire(conn: Connection, key: str, most: int, seconds: int, amount: int = 1) -> bool:
    """Count `amount` tries if at most `most` were made within the last `seconds`, these included; say whether."""
    if amount > most:
        return False
    values = {"key": key, "most": most, "seconds": seconds, "amount": amount}
    return conn.execute(_ACQUIRE, values).one_or_none() is not None


def window(conn: Connection, key: str, seconds: int) -> tuple[int, float]:
    """Return how many tries were counted within the last `seconds`, and how many seconds ago the first of them was."""
    row = conn.execute(_WINDOW, {"key": key, "seconds": seconds}).one()
    return int(row[0]), float(row[1])


def try_again(conn: Connection, key: str, waits: Sequence[int], kept: int) -> bool:
    """Count a try, unless a wait is under way; say whether. `waits[n - 1]` seconds follow the n-th try.

    A row is forgotten `kept` seconds after the last wait.
    """
    return conn.execute(_TRY, {"key": key, "waits": list(waits), "kept": kept}).one_or_none() is not None


def give_back(conn: Connection, key: str) -> None:
    """Take one try back that `try_again` has counted, and the wait that is under way."""
    conn.execute(_GIVE_BACK, {"key": key})


def wait_left(conn: Connection, key: str) -> float:
    """Return the seconds until the next try may be made; 0 where none was counted."""
    found = conn.execute(_WAIT, {"key": key}).scalar_one_or_none()
    return max(0.0, float(found or 0))


def clear(conn: Connection, key: str) -> None:
    """Forget the tries of one key."""
    conn.execute(_CLEAR, {"key": key})


def reset(conn: Connection) -> int:
    """Forget all tries; return how many keys there were."""
    return conn.execute(_RESET).rowcount


def sweep(conn: Connection) -> int:
    """Delete the rows that count for nothing any more; return how many."""
    return conn.execute(_SWEEP).rowcount
