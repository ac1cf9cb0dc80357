"""Primary keys: UUIDv7 (RFC 9562), made by the application because a row's id is part of what is sealed in it."""

import secrets
import time
from uuid import UUID


def new_uuid7() -> UUID:
    """Return an id that sorts by the time of its making, to about a quarter of a microsecond, then by chance.

    RFC 9562, section 5.7, with the fraction of the millisecond in `rand_a` (section 6.2, method 3).
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))
