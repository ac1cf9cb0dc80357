"""Where tries are counted: which storage the settings name, and whether it answers."""

from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit, urlunsplit

from sqlalchemy import Engine

from limits.errors import ConfigurationError
from limits.storage import RedisStorage, Storage, storage_from_string

from ...config.errors import FailedError
from ...config.settings import Settings
from ..keys.objects import read_private
from .control_storage import SCHEME, ControlDelays
from .delays import Delays
from .redis_delays import RedisDelays

_SECONDS = 1.0  # to connect, and for an answer: whoever signs in waits for it
_AS_REDIS = {"valkey": "redis", "valkeys": "rediss", "valkey+unix": "redis+unix"}  # one protocol, one client


def storage_of(settings: Settings, engine: Engine) -> tuple[str, dict[str, Any]]:
    """Return the storage's address and options, as the library `limits` takes them.

    Raises `FailedError`, `RefusedError` for a password file that cannot be used.
    """
    if not settings.rate_limit_storage:
        return f"{SCHEME}://", {"engine": engine, "wrap_exceptions": True}
    return _with_password(settings), {
        "wrap_exceptions": True,
        "socket_connect_timeout": _SECONDS,
        "socket_timeout": _SECONDS,
    }


def delays_of(storage: Storage, engine: Engine) -> Delays:
    """Return where waits that grow are counted, beside `storage`."""
    return RedisDelays(storage) if isinstance(storage, RedisStorage) else ControlDelays(engine)


def check_storage(settings: Settings) -> None:
    """Raise `FailedError` where the settings name a Redis or Valkey that cannot be used."""
    if not settings.rate_limit_storage:
        return
    address = settings.rate_limit_storage
    try:
        options = {"socket_connect_timeout": _SECONDS, "socket_timeout": _SECONDS}
        storage = cast(Storage, storage_from_string(_with_password(settings), **options))
    except ConfigurationError as error:
        raise FailedError("rate_limit_storage needs the Python package “redis”: install strongroom[redis].") from error
    if not storage.check():
        raise FailedError(f"The storage of rate limits, {address}, does not answer; start it, or mend the setting.")


def _with_password(settings: Settings) -> str:
    parts = urlsplit(settings.rate_limit_storage)
    scheme = _AS_REDIS.get(parts.scheme, parts.scheme)
    login = _login(settings)
    return urlunsplit(parts._replace(scheme=scheme, netloc=f"{login}{parts.netloc}"))


def _login(settings: Settings) -> str:
    if not settings.rate_limit_password_file:
        return ""
    path = settings.home / Path(settings.rate_limit_password_file).expanduser()
    try:
        return f":{quote(read_private(path).decode().strip(), safe='')}@"
    except FileNotFoundError as error:
        raise FailedError(f"The password file of rate limits, {path}, is missing.") from error
