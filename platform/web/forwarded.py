"""Who the caller is when a proxy or a CDN stands before us: believed only on the listeners that nobody else can reach.

Those demand a client certificate: the one that this home's authority has issued for the proxy (tls.py), or one that the
CDN's authority has signed (`cdn_authority`). On the ordinary listener the same headers are a stranger's words, and
nobody reads them.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from flask import request
from werkzeug.middleware.proxy_fix import ProxyFix

from ...config.settings import Settings
from .security import HSTS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

COUNTRY: Final = "strongroom.country"  # no header can have this name in a WSGI environment
_CODE = re.compile(r"[A-Z]{2}", re.ASCII)
_UNKNOWN = frozenset({"XX", "T1", "ZZ"})  # Cloudflare's words for “not known” and for Tor, and ISO 3166's for neither
_REFUSED = b"The CDN has not said who calls.\n"


def believing(app: "WSGIApplication") -> "WSGIApplication":
    """`app` with the caller's address and scheme as the proxy says: of several values the last, which it has set."""
    return ProxyFix(app, x_for=1, x_proto=1, x_host=0, x_port=0, x_prefix=0)


def believing_cdn(app: "WSGIApplication", settings: Settings) -> "WSGIApplication":
    """`app` with the caller's address and country as the CDN says. A request without exactly one address gets 400."""
    address_key, country_key = _key(settings.cdn_address_header), _key(settings.cdn_country_header)

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        address = address_of(str(environ.get(address_key, "")))
        if address is None:
            start_response("400 Bad Request", [("Content-Type", "text/plain"), ("Strict-Transport-Security", HSTS)])
            return [_REFUSED]
        country = country_of(str(environ.get(country_key, "")))
        return app(environ | {"REMOTE_ADDR": address, COUNTRY: country}, start_response)

    return answer


def address_of(said: str) -> str | None:
    """The one address that `said` is, in its usual spelling; None for anything else."""
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:  # means something on the machine of whoever wrote it
            return None
        return str(address.ipv4_mapped or address)
    return str(address)


def country_of(said: str) -> str | None:
    """The country's ISO 3166 code; None where the CDN does not know it."""
    return said if _CODE.fullmatch(said) and said not in _UNKNOWN else None


def country() -> str | None:
    """The country that this request comes from, as a CDN has said; None without one."""
    return request.environ.get(COUNTRY)


def _key(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"
