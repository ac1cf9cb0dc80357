"""Response headers that hold for every page, and the nonce of the content security policy.

Set by our own `after_request`, so that errors, redirects and static files carry them too. A route that serves foreign
bytes (a receipt) sets a stricter policy of its own first; what is already there stays.

COEP is left out on purpose: it matters to pages that share memory between threads or embed foreign documents, and none
of ours does either, while it would keep a browser from showing what an extension of somebody's puts into the page.
"""

import secrets

from flask import Flask, Response, g

REPORT_PATH = "/csp-report"
REPORT_GROUP = "csp"
HSTS = "max-age=31536000; includeSubDomains"
_UNUSED = (
    *("accelerometer", "autoplay", "browsing-topics", "display-capture", "encrypted-media", "fullscreen"),
    *("geolocation", "gyroscope", "hid", "idle-detection", "local-fonts", "magnetometer", "microphone", "midi"),
    *("payment", "picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
)
FIXED = {
    "Strict-Transport-Security": HSTS,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": ", ".join(
        (
            *("camera=(self)", "publickey-credentials-create=(self)", "publickey-credentials-get=(self)"),
            *(f"{feature}=()" for feature in _UNUSED),
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Reporting-Endpoints": f'{REPORT_GROUP}="{REPORT_PATH}"',
    "Cache-Control": "no-store",  # personal pages; static files say otherwise before this one is asked
}


def nonce() -> str:
    """The nonce of this response, 128 bits, made when first asked for."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return g.csp_nonce


def policy(script_nonce: str) -> str:
    """The content security policy of a page: own files only, no inline script or style, never framed."""
    own = f"'self' 'nonce-{script_nonce}'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {own}",
            f"style-src {own}",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            f"report-uri {REPORT_PATH}",  # what Firefox and Safari know
            f"report-to {REPORT_GROUP}",
        )
    )


def install(app: Flask) -> None:
    """Make `app` send the headers with every response, and give templates `csp_nonce()`."""
    app.jinja_env.globals["csp_nonce"] = nonce  # pyright: ignore[reportArgumentType]  # Jinja's own types are narrower

    @app.after_request
    def add_headers(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        response.headers.setdefault("Content-Security-Policy", policy(nonce()))
        for name, value in FIXED.items():
            response.headers.setdefault(name, value)
        return response
