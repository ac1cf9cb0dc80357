"""Having a PostgreSQL server read its configuration again."""

from collections.abc import Callable
from typing import Any

import psycopg


def reload_and_wait(connect: Callable[[], psycopg.Connection[Any]]) -> None:
    """Have it read its files, and wait until new sessions get what stands there. `connect`: as its administrator."""
    with connect() as admin:
        (moment,) = admin.execute("SELECT clock_timestamp()").fetchone() or (None,)
        admin.execute("SELECT pg_reload_conf()")
    while True:
        with connect() as later:  # has what the postmaster had when it let this session in
            if later.execute("SELECT pg_conf_load_time() >= %s", (moment,)).fetchone() == (True,):
                return
