"""Makes a home ready for use, and knows whether one is."""

from ..config.errors import FailedError, RefusedError
from ..config.settings import Settings
from ..platform.control.platform import open_platform
from ..platform.servers import queries as servers
from .names import MAINTENANCE, PROVISIONER
from .postgres.embedded import EmbeddedServer
from .postgres.setup import EMBEDDED_NAME, set_up
from .sessions import open_as
from .template import ensure_template

_MARK = "initialised"
_RECOVERING = "recovering"


def is_initialised(settings: Settings) -> bool:
    """Whether `initialise_home` has come to its end in this home."""
    return (settings.home / _MARK).exists()


def set_recovering(settings: Settings, *, recovering: bool) -> None:
    """Mark a home whose control database is still on its way from a backup: nobody may work there before it is in."""
    mark = settings.home / _RECOVERING
    mark.touch() if recovering else mark.unlink(missing_ok=True)


def refuse_recovering(settings: Settings) -> None:
    """Raise `RefusedError` for such a home."""
    if (settings.home / _RECOVERING).exists():
        raise RefusedError(
            f"{settings.home} is being recovered and has no control database yet; "
            "repeat the same `strongroom backup recover`."
        )


def initialise_home(settings: Settings, *, recovering: bool = False) -> None:
    """Make whatever is missing: folders, keys, PostgreSQL, the control database, the template. Idempotent.

    `recovering`: said by the recovery itself, which has put the control database in. Raises `RefusedError` if the home
    belongs to somebody else or is being recovered, `FailedError` if something of the machine is missing.
    """
    if not recovering:
        refuse_recovering(settings)
    server = EmbeddedServer(settings)
    server.initialise()
    with server.session():
        set_up(settings, server)
        with open_platform(settings) as platform, platform.control.connect() as conn:
            embedded = servers.by_name(conn, EMBEDDED_NAME)
            with open_as(platform, embedded, PROVISIONER, MAINTENANCE) as session:
                ensure_template(platform, embedded, session)
    _mark(settings)


def _mark(settings: Settings) -> None:
    """Last of all: a run that was killed before starts over."""
    try:
        (settings.home / _MARK).touch()
        settings.backup_root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FailedError(f"{error.filename or settings.home} cannot be made: {error.strerror}.") from error
