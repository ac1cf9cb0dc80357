import json

import pytest
from sqlalchemy import text

from strongroom.platform.tenants.ids import new_id


@pytest.fixture
def report(platform):
    """`report(counters)` is a process that writes these counters for the embedded server; returns its id."""
    made = []

    def make(counters, *, kind="web", lease="1 h", connections=3):
        made.append(process := f"test-{new_id()}")
        with platform.control.begin() as conn:
            conn.execute(
                # Living processes forget those that they have not heard of for long: these are never late.
                text(
                    "INSERT INTO process (id, kind, host, pid, seen_at)"
                    " VALUES (:id, :kind, 'here', 1, now() + interval '1 h')"
                ),
                {"id": process, "kind": kind},
            )
            conn.execute(
                text(
                    "INSERT INTO connection_lease (process_id, server_name, connections, wanted, lease_until, counters)"
                    " VALUES (:id, 'embedded', :connections, 3, now() + CAST(:lease AS interval),"
                    " CAST(:counters AS jsonb))"
                ),
                {"id": process, "connections": connections, "lease": lease, "counters": json.dumps(counters)},
            )
        return process

    yield make
    with platform.control.begin() as conn:
        conn.execute(text("DELETE FROM process WHERE id = ANY(:made)"), {"made": made})


@pytest.fixture
def verified(platform):
    """`verified(passed, ago)` is an isolation verification of then, the newest there is."""
    made = []

    def make(*, passed, ago="1 h"):
        with platform.control.begin() as conn:
            made.append(
                conn.execute(
                    text(
                        "INSERT INTO verification (kind, at, passed, report)"
                        " VALUES ('isolation', now() - CAST(:ago AS interval), :passed, '{}') RETURNING id"
                    ),
                    {"ago": ago, "passed": passed},
                ).scalar_one()
            )

    yield make
    with platform.control.begin() as conn:
        conn.execute(text("DELETE FROM verification WHERE id = ANY(:made)"), {"made": made})
