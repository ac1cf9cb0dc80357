"""The key by which the payment processor proves itself: a file, read when it is needed, so that it can be changed."""

import stat
from pathlib import Path

from ...config.errors import FailedError
from ...config.settings import Settings
from ..webhooks.signature import check_secret

MOST = 2  # during a rotation: the new one and the one before


def payment_keys(settings: Settings) -> list[str]:
    """The keys of `payment_secret_file`, one a line; none where no file is named.

    Raises `FailedError` where the file cannot be read or others could read it, `CallError` for what is no key.
    """
    if not settings.payment_secret_file:
        return []
    path = settings.home / settings.payment_secret_file
    try:
        _must_be_closed(path)
        lines = path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise FailedError(f"{path} cannot be read: {error.strerror}.") from error
    if not 0 < len(lines) <= MOST:
        raise FailedError(f"{path} must hold one key, or two during a rotation, one a line.")
    return [check_secret(line) for line in lines]


def _must_be_closed(path: Path) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise FailedError(f"{path} can be read by others: set its mode to 0600.")
