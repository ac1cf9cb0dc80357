"""From which country a request comes, and what a country is called.

A CDN's word is believed on its own listener alone (`forwarded.py`). Without one, the address is looked up in data that
ships with a library: no request leaves the machine, and the answer is the country that the address block is registered
in, which is nearly always where it is used.
"""

import ipaddress
from collections.abc import Mapping
from functools import cache
from typing import cast

import iptocc
from babel import Locale
from flask import request

from . import forwarded


def country() -> str | None:
    """The ISO 3166-1 code of the country that this request comes from, where it is known."""
    told = forwarded.country()
    return _checked(told) if told else country_of(request.remote_addr)


def country_of(address: str | None) -> str | None:
    """The code of the country that `address` is registered in; None for private and unknown ones."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return _checked(iptocc.country_code(str(ip))) if ip.is_global else None


def country_name(code: str | None) -> str | None:
    """`Germany` for `DE`; None where nothing is known."""
    return _names().get(code) if code else None


def _checked(code: str | None) -> str | None:
    """Codes that are no country's are none: `XX` and `T1` (unknown, Tor) of Cloudflare, `EU` and `AP` of registries."""
    code = (code or "").upper()
    return code if len(code) == 2 and code.isalpha() and code in _names() and code not in _NO_COUNTRY else None


_NO_COUNTRY = frozenset({"EU", "EZ", "UN", "XA", "XB", "ZZ"})


@cache
def _names() -> dict[str, str]:
    return dict(cast(Mapping[str, str], Locale("en", "GB").territories))
