"""Which workspace a Host header names. Anything that is not exactly one slug below the base domain is unknown."""

import re
from functools import lru_cache

# RFC 9110 §7.2: host, optionally a colon and a port. One trailing dot is the absolute form of the same name.
_HOST = re.compile(r"([A-Za-z0-9.-]{1,255}?)\.?(?::[0-9]{1,5})?", re.ASCII)
_SLUG = re.compile(r"[a-z](?:-?[a-z0-9])+", re.ASCII)
_LONGEST_SLUG = 40
_LONGEST_HOST = 262  # a name of 253 characters, dot, colon, port, and a little slack


def workspace_of(host: str, base_domain: str) -> str | None:
    """Return the slug that `host` (a raw Host header) names, or `None` for everything else.

    Case, a port and one trailing dot do not matter. Internationalised names are unknown: a slug is ASCII without a
    double hyphen, so neither their Unicode nor their `xn--` form can name one.
    """
    return _workspace_of(host, base_domain.lower()) if len(host) <= _LONGEST_HOST else None


def is_site(host: str, base_domain: str) -> bool:
    """Say whether `host` is the installation's own site (sign-up), which belongs to no workspace."""
    return _name_of(host) == base_domain.lower()


@lru_cache(maxsize=8192)  # the same few names come with every request
def _workspace_of(host: str, base_domain: str) -> str | None:
    slug, dot, domain = _name_of(host).partition(".")
    if dot and domain == base_domain and len(slug) <= _LONGEST_SLUG and _SLUG.fullmatch(slug):
        return slug
    return None


def _name_of(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match[1].lower() if match else ""
