"""Where messages may go. A customer chooses the address, and our machine connects to it: that must lead nowhere inside.

After the OWASP cheat sheet “Server-Side Request Forgery Prevention”: a name is resolved once, every address it has must
be public (IANA's registries of special-purpose addresses), and the connection goes to the very address that was looked
at. Pure but for `resolve`.
"""

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from ...config.errors import CallError, FailedError, ForbiddenError

LONGEST: Final = 1000
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_VISIBLE: Final = re.compile(r"[!-~]+", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)  # WHATWG URL: a host that ends in one is an IPv4 address
_LOWEST_PORT: Final = 1024  # below, only 443: no mail server, no SSH

# Special-purpose IPv4 (RFC 6890 and its registry), and what is reachable from inside some clouds only.
_CLOSED_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's platform, seen from inside
            "169.254.0.0/16",  # link-local, with the metadata services
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
# Only global unicast is open, so loopback, ULA, link-local, multicast, mapped, compatible and NAT64 addresses are not.
_OPEN_6: Final = IPv6Network("2000::/3")
_CLOSED_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, with Teredo, ORCHID and benchmarks
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address inside
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Sequence[str]]


class ClosedDestinationError(ForbiddenError):
    """Raised when an address leads where no message may go."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A checked address. `target` is path and query as they are sent."""

    host: str
    port: int
    target: str

    @property
    def url(self) -> str:
        """The address in the one spelling that we use."""
        port = "" if self.port == 443 else f":{self.port}"
        return f"https://{self.host}{port}{self.target}"


def read_url(text: str, base_domain: str) -> Destination:
    """The destination that `text` names. Raises `CallError` with the field `url` that says what is wrong.

    Only https, a name that is no IP address in any spelling, port 443 or from 1024; nothing of our own domain.
    """
    text = text.strip()
    if not text:
        raise _wrong("Enter the address that messages should go to.")
    if len(text) > LONGEST:
        raise _wrong(f"The address may have up to {LONGEST:,} characters.")
    if not _VISIBLE.fullmatch(text) or "\\" in text:
        raise _wrong(
            "Write the address in ASCII, without spaces; a name with other letters in the form that begins with xn--."
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port if parts.port is not None else 443
    except ValueError as error:
        raise _wrong("This is no address; it looks like https://hooks.example.com/strongroom.") from error
    if parts.scheme != "https":
        raise _wrong("The address must begin with https://, so that nobody reads along.")
    if "@" in parts.netloc:
        raise _wrong("Leave the user name and password out; the signature proves who sends.")
    if "#" in text:
        raise _wrong("Leave out the part from the # on; it is never sent.")
    if port != 443 and not _LOWEST_PORT <= port <= 65535:
        raise _wrong(f"The port must be 443, or {_LOWEST_PORT} and above.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(_check_host(host, base_domain), port, target)


def is_open(address: Address) -> bool:
    """Whether anybody on the internet may have this address."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    return address.scope_id is None and address in _OPEN_6 and not any(address in network for network in _CLOSED_6)


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, as the system finds them. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def pinned(
    where: Destination, resolver: Resolver = resolve, opened: Callable[[Address], bool] = is_open
) -> list[Address]:
    """The addresses to connect to; asked once, so that a second answer cannot lead elsewhere.

    One closed address among them closes all. Raises `ClosedDestinationError`, `FailedError` for a name without any.
    """
    try:
        found = [ip_address(one) for one in resolver(where.host, where.port)]
    except (OSError, UnicodeError) as error:
        raise FailedError("The name has no address.") from error
    except ValueError as error:
        raise ClosedDestinationError("The name leads to an address that is none.") from error
    if not found:
        raise FailedError("The name has no address.")
    if not all(opened(one) for one in found):
        raise ClosedDestinationError("The name leads to an address that is not on the public internet.")
    return found


def _check_host(host: str, base_domain: str) -> str:
    host = host.removesuffix(".").lower()
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        raise _wrong("Use a name instead of an IP address; the certificate proves the name.")
    if len(labels) < 2 or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _wrong("This is no name on the internet; it looks like hooks.example.com.")
    own = base_domain.lower()
    if host == own or host.endswith(f".{own}"):
        raise _wrong("This address is one of ours; messages go to machines of your own.")
    return host


def _wrong(sentence: str) -> CallError:
    return CallError(sentence, "url")
