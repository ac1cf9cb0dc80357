"""Where the control database answers: written by whoever starts the server, read by every other process."""

import json
from dataclasses import dataclass
from pathlib import Path

from ...config.errors import FailedError, UnavailableError
from ...config.settings import Settings

CONTROL_DATABASE = "strongroom_control"
CONTROL_ROLE = "strongroom_control"


@dataclass(frozen=True, slots=True)
class Address:
    """`host` is a folder (Unix socket) or a host name."""

    host: str
    port: int


def read_address(settings: Settings) -> Address:
    """Return where the control database's server listens.

    Raises `UnavailableError` if it has not been started on this home.
    """
    try:
        values = json.loads(_path(settings).read_text(encoding="utf-8"))
        return Address(host=str(values["host"]), port=int(values["port"]))
    except FileNotFoundError as error:
        raise UnavailableError(
            f"No database server has been started for {settings.home}; start it with: strongroom up"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise FailedError(f"{_path(settings)} cannot be read; start again with: strongroom up") from error


def write_address(settings: Settings, address: Address) -> None:
    """Record where the control database's server listens; readers see the old or the new, never half a file."""
    path = _path(settings)
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"host": address.host, "port": address.port}), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise FailedError(f"{path} cannot be written: {error.strerror}.") from error


def _path(settings: Settings) -> Path:
    return settings.run_dir / "control.json"
