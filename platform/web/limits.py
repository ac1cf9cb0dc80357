"""Rate limits: a try is counted before it is looked at, so that parallel tries cannot slip through.

All web processes share the counts, in the control database or in Redis (`platform/limits`). While that does not answer,
each process counts by itself: sign-in stays limited, if less strictly, and nobody is locked out by our own trouble.
"""

import hashlib
import hmac
import json
import logging
import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar, cast

from flask import Flask, current_app, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter, RateLimiter
from werkzeug.exceptions import TooManyRequests

from ...config.errors import UnavailableError
from ..control.platform import Platform
from ..limits.choice import delays_of, storage_of
from ..limits.delays import Delays, MemoryDelays
from . import tenant
from .room import network

EXTENSION = "strongroom_limiter"
_COUNTERS = "strongroom_counters"
_AWAY = 5.0  # seconds for which a storage that did not answer is left alone

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


def hit(limit: str, *key: str) -> None:
    """Count one try against `limit` (as in `10 per minute`) for `key`, which begins with what is limited and the
    workspace. Raises `TooManyRequests` with the seconds to wait.
    """
    if not within(limit, *key):
        raise TooManyRequests(retry_after=_counters().wait(parse(limit), _sealed(key)))


def within(limit: str, *key: str) -> bool:
    """Count one try as `hit` does, and say whether it is within the limit."""
    return _counters().hit(parse(limit), _sealed(key))


def forget(limit: str, *key: str) -> None:
    """Forget the tries counted for `key`: the right password came."""
    _counters().clear(parse(limit), _sealed(key))


def hit_growing(*key: str) -> None:
    """Count one of several tries in a row for `key`: after each five the wait doubles, from 30 seconds to 15 minutes.

    Raises `TooManyRequests` with the seconds to wait.
    """
    wait = _counters().hit_growing(_sealed(key))
    if wait > 0:
        raise TooManyRequests(retry_after=math.ceil(wait))


@contextmanager
def given_back_if_busy(*key: str) -> Generator[None]:
    """Give the try back that `hit_growing` has counted for `key` where what looks at it is too busy to."""
    try:
        yield
    except UnavailableError:
        _counters().give_back_growing(_sealed(key))
        raise


def forget_growing(*key: str) -> None:
    """Success: the next try for `key` is the first one."""
    _counters().forget_growing(_sealed(key))


def address() -> str:
    """What counts as one caller: an IPv4 address, or the /64 network of an IPv6 one."""
    return network(request.remote_addr or "")


def install(app: Flask) -> None:
    """Give `app` its counters."""
    platform = cast(Platform, app.extensions[tenant.EXTENSION])
    uri, options = storage_of(platform.settings, platform.control)
    limiter = Limiter(
        key_func=address,
        app=app,
        storage_uri=uri,
        storage_options=options,
        strategy="moving-window",
        headers_enabled=False,
    )
    app.extensions[EXTENSION] = limiter
    app.extensions[_COUNTERS] = Counters(limiter.limiter, delays_of(limiter.storage, platform.control))


class Counters:
    """The shared counts, and this process's own for as long as those are away."""

    def __init__(self, shared: RateLimiter, shared_delays: Delays) -> None:
        """`shared` raises `StorageError` when it is away; `shared_delays` may raise anything."""
        self._shared, self._shared_delays = shared, shared_delays
        self._own, self._own_delays = MovingWindowRateLimiter(MemoryStorage()), MemoryDelays()
        self._away_until = 0.0

    def hit(self, item: RateLimitItem, key: str) -> bool:
        """Count a try, and say whether it is within the limit."""
        return self._either(lambda: self._shared.hit(item, key), lambda: self._own.hit(item, key))

    def wait(self, item: RateLimitItem, key: str) -> int:
        """Whole seconds until a try would be within the limit again, at least one."""
        stats = self._either(
            lambda: self._shared.get_window_stats(item, key), lambda: self._own.get_window_stats(item, key)
        )
        return max(1, math.ceil(stats.reset_time - time.time()))

    def clear(self, item: RateLimitItem, key: str) -> None:
        """Forget the tries."""
        self._either(lambda: self._shared.clear(item, key), lambda: self._own.clear(item, key))

    def hit_growing(self, key: str) -> float:
        """Count a try in a row; 0, or the seconds to wait."""
        return self._either(lambda: self._shared_delays.hit(key), lambda: self._own_delays.hit(key))

    def give_back_growing(self, key: str) -> None:
        """Take one of the tries in a row back."""
        self._either(lambda: self._shared_delays.give_back(key), lambda: self._own_delays.give_back(key))

    def forget_growing(self, key: str) -> None:
        """Forget the tries in a row."""
        self._either(lambda: self._shared_delays.forget(key), lambda: self._own_delays.forget(key))

    def _either(self, shared: Callable[[], Answer], own: Callable[[], Answer]) -> Answer:
        if time.monotonic() < self._away_until:
            return own()
        try:
            return shared()
        except Exception as error:
            if not isinstance(error, (StorageError, *_away_errors(self._shared))):
                raise
            self._away_until = time.monotonic() + _AWAY
            log.warning("Tries are counted in this process alone for now: %s", type(_cause(error)).__name__)
            return own()


def _away_errors(shared: RateLimiter) -> tuple[type[Exception], ...]:
    known = shared.storage.base_exceptions
    return known if isinstance(known, tuple) else (known,)


def _cause(error: Exception) -> Exception:
    return error.storage_error if isinstance(error, StorageError) else error


def _sealed(key: tuple[str, ...]) -> str:
    """What the storage knows of a key: neither whose tries they are nor from where."""
    platform = tenant.platform()
    return hmac.digest(platform.keys.platform().signing, json.dumps(["tries of", *key]).encode(), hashlib.sha256).hex()


def _counters() -> Counters:
    return cast(Counters, current_app.extensions[_COUNTERS])
