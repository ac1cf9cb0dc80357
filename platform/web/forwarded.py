"""Who the caller is when a proxy stands before us: believed only on the listeners that nobody else can reach.

Those demand a client certificate that this home's authority has issued for the proxy (tls.py). On the ordinary listener
the same headers are a stranger's words, and nobody reads them.
"""

from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def believing(app: "WSGIApplication") -> "WSGIApplication":
    """`app` with the caller's address and scheme as the proxy says: of several values the last, which it has set."""
    return ProxyFix(app, x_for=1, x_proto=1, x_host=0, x_port=0, x_prefix=0)
