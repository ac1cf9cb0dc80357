"""How a command gets to the platform: with the embedded server running for as long as the command needs it."""

from collections.abc import Generator
from contextlib import contextmanager

from ..config.errors import RefusedError
from ..config.settings import Settings
from ..platform.control.platform import Platform, open_platform
from .initialise import is_initialised, refuse_recovering
from .postgres.embedded import EmbeddedServer


@contextmanager
def open_home(settings: Settings, kind: str = "command") -> Generator[Platform]:
    """Yield the platform of an initialised home; start its PostgreSQL for the while unless it runs already.
    `kind` says what the process is: worker or command.

    Raises `RefusedError` for a home that was never initialised.
    """
    require_initialised(settings)
    with EmbeddedServer(settings).session(), open_platform(settings, kind) as platform:
        yield platform


def require_initialised(settings: Settings) -> None:
    """Raise `RefusedError` for a home that was never initialised, or that is being recovered."""
    refuse_recovering(settings)
    if not is_initialised(settings):
        raise RefusedError(f"{settings.home} is not set up yet; run `strongroom init`, or `strongroom up`.")
