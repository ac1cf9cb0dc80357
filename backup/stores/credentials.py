"""What a store is entered with: a TOML file with mode 0600, whose keys depend on the kind of store."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from ...config.errors import CallError, NotFoundError
from ...config.stores import StoreSettings
from ...platform.keys.objects import read_private

# scheme → (needed, allowed beside them). docs/operations.md explains each.
_KEYS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "s3": (
        frozenset({"access_key_id", "secret_access_key"}),
        frozenset({"session_token", "region", "endpoint", "ca_certificate"}),
    ),
    "gs": (frozenset({"service_account_key"}), frozenset()),
    "az": (
        frozenset({"account"}),
        frozenset({"access_key", "sas_token", "client_id", "client_secret", "tenant_id"}),
    ),
    "sftp": (frozenset({"host_key"}), frozenset({"user", "password", "private_key", "passphrase"})),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The content of one file; never part of a message."""

    path: Path
    values: dict[str, str] = field(repr=False)

    def get(self, key: str, default: str = "") -> str:
        """Return a value, or `default` where the file does not have it."""
        return self.values.get(key, default)

    def __getitem__(self, key: str) -> str:
        return self.values[key]


def read_credentials(store: StoreSettings, path: Path | None) -> Credentials:
    """Read and check the file. Raises `CallError`, `NotFoundError`, `RefusedError` when others may read it."""
    if path is None:
        raise CallError(f"The backup store “{store.name}” needs `credentials`: a file, see docs/operations.md.")
    values = _parse(path)
    needed, allowed = _KEYS[store.scheme]
    for key, value in values.items():
        if key not in needed | allowed:
            raise CallError(f"{path} has a key “{key}” that is none of: {', '.join(sorted(needed | allowed))}.")
        if not isinstance(value, str) or not value:
            raise CallError(f"The key “{key}” of {path} must be text.")
    if lacking := sorted(needed - values.keys()):
        raise CallError(f"{path} lacks: {', '.join(lacking)}.")
    return Credentials(path, {key: str(value) for key, value in values.items()})


def _parse(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(read_private(path).decode())
    except FileNotFoundError:
        raise NotFoundError(f"The credentials {path} are missing.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # their messages may quote a secret
        raise CallError(f'{path} is not valid TOML: one line per key, as in key = "value".') from None
