"""PgBouncer's files in one folder: written whole, mode 0600, for the account that it runs as."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ...config.errors import FailedError, KeyMissingError
from ...platform.control.platform import Platform
from ...platform.keys import DatabaseCredential
from ...platform.servers import queries as servers
from ...platform.servers.records import Server
from ...platform.tenants import placements
from ...platform.tenants.records import PlacementState
from ..postgres.account import Account, server_account
from . import configuration
from .certificate import new_certificate, serves, trusted
from .configuration import Plan, on_socket

SETTINGS = "pgbouncer.ini"
_LOGINS = "logins.txt"
# Building ones as well: their login is known before the first request wants it.
_REACHED = tuple(set(PlacementState) - {PlacementState.DROPPING, PlacementState.DROPPED})


@dataclass(slots=True)
class PoolerFiles:
    """The files of one server's pooler, which are brought up to date as often as one likes."""

    platform: Platform
    server_name: str
    plan: Plan
    account: Account = field(default_factory=server_account)
    _known: dict[str, DatabaseCredential | None] = field(default_factory=dict[str, "DatabaseCredential | None"])
    _known_folder: bool = False

    def update(self) -> bool:
        """Write what has changed and say whether anything had.

        Raises `NotFoundError`, `RefusedError` as `configuration.settings_text` does, `FailedError` when the folder
        cannot be used.
        """
        with self.platform.control.connect() as conn:
            server = servers.by_name(conn, self.server_name)
            here = placements.ids_on(conn, server.name, *_REACHED)
        host, _ = configuration.address(server, self.plan)
        texts = {SETTINGS: configuration.settings_text(server, self.plan)}
        texts["rules.conf"] = configuration.rules_text(host)
        texts[_LOGINS] = configuration.logins_text(self._logins(here))
        texts |= {} if server.tls_authority is None else {"server.crt": server.tls_authority}
        try:
            if not self._known_folder:
                self._make_folder()
            texts |= self._identity(server, host)
            changed = [name for name, text in texts.items() if self._write(name, text)]
        except OSError as error:
            raise FailedError(f"{self.plan.folder} cannot be written: {error.strerror}.") from error
        return bool(changed)

    def logins(self) -> int:
        """Return how many logins the pooler knows."""
        return sum(one is not None for one in self._known.values())

    def _logins(self, placement_ids: list[str]) -> list[DatabaseCredential]:
        self._known = {pid: self._login(pid) for pid in placement_ids}  # each may have been replaced since
        return [one for one in self._known.values() if one]

    def _login(self, pid: str) -> DatabaseCredential | None:
        try:
            return self.platform.keys.placement(pid)
        except KeyMissingError:  # just being made, or just destroyed
            return None

    def _make_folder(self) -> None:
        self.plan.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        if not self.account.reaches(self.plan.folder):
            raise FailedError(f"PgBouncer's account “{self.account.name}” cannot enter {self.plan.folder}.")
        self._known_folder = True

    def _identity(self, server: Server, host: str) -> dict[str, str]:
        """Return key and certificate, new ones if need be, once the control plane tells everybody to trust them."""
        if on_socket(host):
            return {}
        key, pem = self._read("pooler.key"), self._read("pooler.crt")
        if not (key and pem and serves(pem, host)):
            key, pem = new_certificate(host)
        if pem not in (server.pooler_authority or ""):
            with self.platform.control.begin() as conn:
                servers.set_pooler_authority(conn, server.name, trusted(server.pooler_authority, pem))
        return {"pooler.key": key, "pooler.crt": pem}

    def _read(self, name: str) -> str | None:
        try:
            return (self.plan.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _write(self, name: str, text: str) -> bool:
        """Replace a file unless it says this already; readers see the old or the new, never half."""
        if self._read(name) == text:
            return False
        draft: Path = self.plan.folder / f"{name}.new"
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            self.account.own(draft)
            file.write(text)
        draft.replace(self.plan.folder / name)
        return True
