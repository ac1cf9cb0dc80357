"""Taking a PostgreSQL server into service: its superuser acts once, then the platform's own roles prove that they can.

Nothing is recorded before everything holds, and every step may be repeated: a set-up that was killed, or refused
because something is open, is finished by the same command.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ..config.errors import CallError, FailedError, KeyMissingError, RefusedError, VerificationError
from ..platform.audit import queries as audit
from ..platform.control.platform import Platform
from ..platform.keys import KeyStore
from ..platform.keys.store import SERVER_ROLES
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from .admin_login import AdminLogin
from .names import CONTROL, LOGINS, PROVISIONER
from .pooler.reaching import require_pooler
from .postgres.bootstrap import bootstrap
from .server_check import ServerReport, look_at
from .server_layers import closing_rules, connection_room
from .sessions import Session, provisioner
from .template import ensure_template

_OLDEST, _NEWEST = 15, 18  # versions of PostgreSQL that the tests run on, and those in between
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")  # becomes the name of files
_LOCK = "SELECT pg_advisory_lock(hashtextextended('strongroom.setup', 0))"


@dataclass(frozen=True, slots=True)
class NewServer:
    """What an operator says about a server; what is None is found out, or stays as it was."""

    name: str
    region: str
    connections: int | None = None
    rules_are_ours: bool | None = None
    pooler: tuple[str, int] | None = None


def add_server(platform: Platform, new: NewServer, login: AdminLogin, operator: str) -> ServerReport:
    """Set up and record a server; return what `server check` says about it. Idempotent.

    Raises `CallError` (name, region, number of connections), `RefusedError` (name taken, no TLS, version, roles of
    another installation, no superuser, no such pooler), `FailedError` (login refused), `VerificationError` when
    something on it is open that must be closed; nothing is recorded then.
    """
    known = _known(platform, new, login)
    if new.pooler:
        require_pooler(new.name, known and known.pooler_authority, new.pooler)
    with _alone(login) as session:
        _require_suitable(session, login)
        _require_ours(platform.keys, session, new.name)
        server = _described(new, login, known, connection_room(session))
        platform.keys.create_server(new.name)
        bootstrap(login.connect, _verifiers(platform.keys, new.name))
    _finish(platform, server)
    report = look_at(platform, server)
    if report.findings:
        raise VerificationError(_still_open(server, report))
    with platform.control.begin() as conn:
        servers.put_external(conn, server)
        audit.record(conn, operator, "server.added", detail=_detail(server))
    return report


def _known(platform: Platform, new: NewServer, login: AdminLogin) -> Server | None:
    """Return the record of an earlier `add`. Raises `CallError`, `RefusedError` when it is another server's."""
    if not _NAME.fullmatch(new.name):
        raise CallError("A server's name has small letters, digits and hyphens, and begins with a letter.", "name")
    with platform.control.connect() as conn:
        servers.require_region(conn, new.region)
        everything = {server.name: server for server in servers.list_all(conn)}
    known = everything.pop(new.name, None)
    if known and (known.kind, known.host, known.port) != ("external", login.host, login.port):
        raise RefusedError(f"The name “{new.name}” is taken by the server at {known.host}, port {known.port}.")
    if known and known.region != new.region:
        raise RefusedError(f"The server “{new.name}” is in the region “{known.region}”; its data must stay there.")
    for other in everything.values():
        if (other.host, other.port) == (login.host, login.port):
            raise RefusedError(f"{login.host}:{login.port} is in service already, as “{other.name}”.")
    return known


@contextmanager
def _alone(login: AdminLogin) -> Generator[Session]:
    """Yield a session of the superuser, while no other set-up of this server runs."""
    with login.connect() as session:
        session.execute(_LOCK)
        yield session


def _require_suitable(session: Session, login: AdminLogin) -> None:
    version = session.info.server_version // 10000
    where = f"{login.host}:{login.port}"
    if not _OLDEST <= version <= _NEWEST:
        raise RefusedError(f"{where} runs PostgreSQL {version}; supported are {_OLDEST} to {_NEWEST}.")
    asked = "SELECT rolsuper, pg_is_in_recovery() FROM pg_roles WHERE rolname = current_user"
    is_superuser, is_standby = _row(session, asked)
    if is_standby:
        raise RefusedError(f"{where} is a standby, which nothing can be written to; give its primary.")
    if not is_superuser:
        raise RefusedError(
            f"The login for {where} is no superuser, which closing the system catalogs of the template takes."
        )


def _require_ours(keys: KeyStore, session: Session, name: str) -> None:
    """Raise `RefusedError` when the server's roles have logins that are not those of this server name."""
    if session.execute("SELECT FROM pg_database WHERE datname = %s", (CONTROL,)).fetchone() is not None:
        raise RefusedError("This server holds the control database of an installation and serves it already.")
    asked = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY(%s) AND rolpassword IS NOT NULL"
    found: dict[str, str] = dict(session.execute(asked, (list(SERVER_ROLES),)).fetchall())  # pyright: ignore[reportArgumentType]  # two columns
    try:
        ours = _verifiers(keys, name)
    except KeyMissingError:
        ours = {}
    if any(ours.get(role) != verifier for role, verifier in found.items()):
        raise RefusedError(
            "This server already holds the roles of another installation, or of this one under another name "
            f"({PROVISIONER}, {LOGINS} …); drop them there if that installation is gone."
        )


def _verifiers(keys: KeyStore, name: str) -> dict[str, str]:
    return {role: keys.service_credential(role, name).verifier for role in SERVER_ROLES}


def _described(new: NewServer, login: AdminLogin, known: Server | None, room: int) -> Server:
    if new.connections is not None and new.connections > room:
        raise CallError(f"The server has room for {room} connections of tenants; --connections asks for more.")
    pooler = new.pooler or (known and (known.pooler_host, known.pooler_port)) or (None, None)
    rules = new.rules_are_ours
    return Server(
        name=new.name,
        region=new.region,
        kind="external",
        host=login.host,
        port=login.port,
        accepts_tenants=known.accepts_tenants if known else True,
        created_at=known.created_at if known else datetime.now(UTC),
        connection_limit=new.connections or (known and known.connection_limit) or room,
        rules_are_ours=rules if rules is not None else known.rules_are_ours if known else True,
        tls_authority=login.authority,
        pooler_host=pooler[0],
        pooler_port=pooler[1],
        pooler_authority=known.pooler_authority if known else None,
    )


def _finish(platform: Platform, server: Server) -> None:
    """Bring the template to the newest schema with the platform's own roles: the proof that they can work there."""
    try:
        with provisioner(platform, server) as session:
            ensure_template(platform, server, session)
    except FailedError as error:
        if "pg_hba.conf" in str(error.__cause__):
            raise FailedError(
                "The server's pg_hba.conf does not let the platform's roles in. Put these lines at its top, reload, "
                f"and repeat the command:\n{closing_rules(server)}"
            ) from error
        raise


def _still_open(server: Server, report: ServerReport) -> str:
    listed = "\n".join(f"{finding.where} {finding.sentence}." for finding in report.findings)
    rules = [finding for finding in report.findings if finding.where.startswith("pg_hba.conf")]
    advice = ""
    if rules:
        advice = (
            "\nEither put these lines at the top of its pg_hba.conf and reload:\n"
            f"{closing_rules(server)}"
            "or say --rules managed if that file is not yours: the access lists hold alone then."
        )
    return f"The server is set up but not in service: something on it is open that must be closed.\n{listed}{advice}"


def _detail(server: Server) -> dict[str, object]:
    return {
        "server": server.name,
        "host": server.host,
        "port": server.port,
        "region": server.region,
        "rules_are_ours": server.rules_are_ours,
        "pooler": f"{server.pooler_host}:{server.pooler_port}" if server.pooler_host else None,
    }


def _row(session: Session, statement: str) -> tuple[object, ...]:
    row = session.execute(statement.encode()).fetchone()
    assert isinstance(row, tuple)
    return row
