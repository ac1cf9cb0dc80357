"""The storages in which tries are counted, each by its real server."""

import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest
from free_ports import free_ports
from limits import parse
from limits.storage import Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from strongroom.config.settings import Settings
from strongroom.platform.control.platform import Platform
from strongroom.platform.limits.choice import delays_of, storage_of
from strongroom.platform.limits.delays import Delays, MemoryDelays

SERVER = shutil.which("valkey-server") or shutil.which("redis-server")
PASSWORD = "not the default one"


@pytest.fixture(scope="session")
def redis_settings(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Settings]:
    """Settings that name a Redis of the tests' own, with a password."""
    folder = tmp_path_factory.mktemp("redis")
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    port = free_ports()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(
        [str(SERVER), *arguments, "--requirepass", PASSWORD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        address = f"valkey://127.0.0.1:{port}"
        yield replace(settings, rate_limit_storage=address, rate_limit_password_file=str(password))
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
    raise AssertionError("the server has ended")


class Counted:
    """A storage as the web processes use it."""

    def __init__(self, storage: Storage, delays: Delays) -> None:
        self.storage, self.delays = storage, delays
        self._limiter = MovingWindowRateLimiter(storage)

    def hit(self, limit: str, key: str) -> bool:
        return self._limiter.hit(parse(limit), key)

    def left(self, limit: str, key: str) -> tuple[float, int]:
        stats = self._limiter.get_window_stats(parse(limit), key)
        return stats.reset_time, stats.remaining

    def clear(self, limit: str, key: str) -> None:
        self._limiter.clear(parse(limit), key)


def counted(platform: Platform, settings: Settings) -> Counted:
    uri, options = storage_of(settings, platform.control)
    storage = cast(Storage, storage_from_string(uri, **options))
    return Counted(storage, delays_of(storage, platform.control))


@pytest.fixture(params=["control", "redis"] if SERVER else ["control"])
def storage(request: pytest.FixtureRequest, platform: Platform, settings: Settings) -> Generator[Counted]:
    named = settings if request.param == "control" else request.getfixturevalue("redis_settings")
    made = counted(platform, named)
    yield made
    made.storage.reset()


@pytest.fixture(params=["control", "redis", "memory"] if SERVER else ["control", "memory"])
def delays(request: pytest.FixtureRequest, platform: Platform, settings: Settings) -> Generator[Delays]:
    if request.param == "memory":
        yield MemoryDelays()
        return
    named = settings if request.param == "control" else request.getfixturevalue("redis_settings")
    made = counted(platform, named)
    yield made.delays
    made.storage.reset()
