"""Rate limits: a try is counted before it is looked at, so that parallel tries cannot slip through."""

import ipaddress
import math
import time
from typing import cast

from flask import Flask, current_app, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse
from werkzeug.exceptions import TooManyRequests

EXTENSION = "strongroom_limiter"


def hit(limit: str, *key: str) -> None:
    """Count one try against `limit` (as in `10 per minute`) for `key`, which begins with what is limited and the
    workspace. Raises `TooManyRequests` with the seconds to wait.
    """
    if not within(limit, *key):
        wait = _limiter().limiter.get_window_stats(parse(limit), *key).reset_time - time.time()
        raise TooManyRequests(retry_after=max(1, math.ceil(wait)))


def within(limit: str, *key: str) -> bool:
    """Count one try as `hit` does, and say whether it is within the limit."""
    return _limiter().limiter.hit(parse(limit), *key)


def forget(limit: str, *key: str) -> None:
    """Forget the tries counted for `key`: the right password came."""
    item: RateLimitItem = parse(limit)
    _limiter().limiter.clear(item, *key)


def address() -> str:
    """What counts as one caller: an IPv4 address, or the /64 network of an IPv6 one."""
    try:
        ip = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def install(app: Flask) -> None:
    """Give `app` its counters, in this process's memory."""
    app.extensions[EXTENSION] = Limiter(
        key_func=address, app=app, storage_uri="memory://", strategy="moving-window", headers_enabled=False
    )


def _limiter() -> Limiter:
    return cast(Limiter, current_app.extensions[EXTENSION])
