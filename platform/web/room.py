"""How much memory the bodies of requests take that are on their way, so that nobody fills it for all."""

import ipaddress
from collections import Counter

MIB = 1024 * 1024


class Room:
    """At most `most` bytes altogether, and `most_of_one` of one caller. Used by one thread."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._held = 0
        self._held_by: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Bytes altogether."""
        return self._held

    def take(self, caller: str, size: int) -> bool:
        """Hold so many bytes more for `caller`; say no, and hold nothing, where there is no room."""
        if self._held + size > self._most or self._held_by[caller] + size > self._most_of_one:
            return False
        self._held += size
        self._held_by[caller] += size
        return True

    def give(self, caller: str, size: int) -> None:
        """Let go of them."""
        self._held -= size
        self._held_by[caller] -= size
        if self._held_by[caller] <= 0:
            del self._held_by[caller]


def network(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the /64 network of an IPv6 one; “unknown” for anything else."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if ip.version == 6 and ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)
