"""UUIDv7: the standard's bits, in the order of making, never twice."""

import time
from uuid import RFC_4122, UUID

from strongroom.tenant_schema.ids import new_uuid7


def test_an_id_has_the_version_the_variant_and_the_time_of_rfc_9562() -> None:
    before = time.time_ns() // 1_000_000
    made = new_uuid7()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_made_one_after_another_sort_that_way() -> None:
    made: list[UUID] = []
    for _ in range(200):
        made.append(new_uuid7())
        time.sleep(0.00002)
    assert made == sorted(made)


def test_no_two_are_equal() -> None:
    assert len({new_uuid7() for _ in range(20_000)}) == 20_000
