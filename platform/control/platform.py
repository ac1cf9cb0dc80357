"""What every entry point of the control plane holds: settings, keys, the control database, the way to the tenants."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine

from ...config.settings import Settings
from ..keys import KeyStore
from ..registry.registry import Registry
from .engine import control_engine


@dataclass(frozen=True, slots=True)
class Platform:
    """Handed explicitly to whatever a request, a job or a command does."""

    settings: Settings
    keys: KeyStore
    control: Engine
    registry: Registry


@contextmanager
def open_platform(settings: Settings, kind: str = "command") -> Generator[Platform]:
    """Open key store, control database and registry; close the connections at the end.

    `kind` says what the process is: web, worker or command.
    Raises `KeyMissingError` on a home that was never initialised. The database server need not run yet.
    """
    keys = KeyStore.open(settings)
    control = control_engine(settings, keys)
    registry = Registry(settings, keys, control, kind)
    try:
        yield Platform(settings, keys, control, registry)
    finally:
        registry.close()
        control.dispose()
