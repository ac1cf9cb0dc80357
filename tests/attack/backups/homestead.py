"""A home with a running server and a few workspaces that have something to lose, and something to give away."""

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psycopg
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from strongroom.config.errors import StrongroomError
from strongroom.config.settings import SETTINGS_FILE, Settings, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.keys import FieldCipher, ReceiptVault
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.initialise import initialise_home
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7

T = TypeVar("T")
_FILLER = 300_000  # bytes that do not compress: a dump has a middle in which it can be killed
_PATIENCE = 30.0  # seconds in which a crashed server is back
_SETTINGS = "bcrypt_cost = 4\nmetrics_port = 0\nspare_databases = 0\n"
_STORE = '[[backup_store]]\nname = "{name}"\nurl = "{url}"\n'
_TEXT = "INSERT INTO app.setting VALUES (:key, to_jsonb(CAST(:value AS text)))"


@dataclass
class Held:
    """A workspace, and what its database must hold: the counter `marker` between two values, and whose it is."""

    id: str
    slug: str
    low: int = 0
    high: int = 0
    before: int = 0  # `low` when the round began: what a backup that was made meanwhile holds at least
    database: str = ""  # placement that it was last seen in


@dataclass
class Homestead:
    """The home under test. `platform` looks on; what is killed opens its own."""

    settings: Settings
    server: EmbeddedServer
    platform: Platform
    tmp: Path  # where the processes under test make temporary files
    canary: str  # stands in plain text in every database, and nowhere else
    held: dict[str, Held] = field(default_factory=dict[str, Held])
    written: bool = False  # whether somebody counted up during this round

    def add(self) -> Held:
        """Make a workspace with a marker, a canary, a filler and a receipt."""
        slug = f"w-{secrets.token_hex(5)}"
        with self.platform.control.begin() as conn:
            made = request_tenant(
                conn, self.settings, self.platform.keys, slug=slug, name=slug, owner_email=f"o@{slug}.example"
            )
        tenant = provision(self.platform, made.id)
        self._furnish(tenant)
        self.held[tenant.id] = Held(tenant.id, slug, database=tenant.placement_id or "")
        return self.held[tenant.id]

    def tenant(self, tenant_id: str) -> Tenant:
        """Return its record as it is now."""
        with self.platform.control.connect() as conn:
            return tenants.by_id(conn, tenant_id)

    def marker(self, tenant: Tenant) -> tuple[int, str]:
        """Return the counter, and whose database it says to be; over the way that requests take."""
        with self.platform.registry.connect(tenant) as conn, conn.begin():
            found = dict(
                conn.execute(text("SELECT key, value #>> '{}' FROM app.setting WHERE key IN ('marker', 'whose')")).all()
            )
        return int(found["marker"]), str(found["whose"])

    def count_up(self, held: Held) -> None:
        """Write something, so that the next backup is a real one, and let the sessions go."""
        tenant = self.tenant(held.id)
        with self.platform.registry.connect(tenant) as conn, conn.begin():
            conn.execute(
                text("UPDATE app.setting SET value = to_jsonb((value #>> '{}')::integer + 1) WHERE key = 'marker'")
            )
        held.low, held.high = held.low + 1, held.high + 1
        self.platform.registry.forget(tenant)

    def _furnish(self, tenant: Tenant) -> None:
        keys, member_id, receipt_id = self.platform.keys.tenant(tenant.id), new_uuid7(), new_uuid7()
        cipher = FieldCipher(keys)
        kept = ReceiptVault(self.settings, keys).seal_and_store(receipt_id, self.canary.encode() * 100)
        filler = secrets.token_hex(_FILLER // 2)
        with self.platform.registry.connect(tenant) as conn, conn.begin():
            for key, value in (("whose", tenant.id), ("canary", self.canary), ("filler", filler)):
                conn.execute(text(_TEXT), {"key": key, "value": value})
            conn.execute(text("INSERT INTO app.setting VALUES ('marker', to_jsonb(0))"))
            conn.execute(
                insert(t.member).values(
                    id=member_id,
                    email=cipher.seal(t.member.c.email, member_id, "kept@safe.example"),
                    email_index=cipher.blind(t.member.c.email_index, "kept@safe.example"),
                    name=cipher.seal(t.member.c.name, member_id, "Kept Safe"),
                    role="owner",
                )
            )
            conn.execute(
                insert(t.receipt).values(
                    id=receipt_id,
                    uploaded_by=member_id,
                    file_name=cipher.seal(t.receipt.c.file_name, receipt_id, "kept.pdf"),
                    media_type="application/pdf",
                    size=1,
                    object=kept.object,
                    sha256=kept.sha256,
                    content_mac=kept.content_mac,
                )
            )
        self.platform.registry.forget(tenant)


@contextmanager
def homestead(parent: Path, workspaces: int) -> Generator[Homestead]:
    """Set up a home below `parent`, which PostgreSQL's account can enter, and workspaces in it."""
    home, tmp = parent / "home", parent / "tmp"
    home.mkdir(parents=True, exist_ok=True)
    tmp.mkdir()
    stores = [_STORE.format(name=name, url=(parent / name).as_uri()) for name in ("near", "far")]
    (home / SETTINGS_FILE).write_text(_SETTINGS + "".join(stores), encoding="utf-8")
    settings = load_settings(home)
    server = EmbeddedServer(settings)
    initialise_home(settings)
    with server.session(), open_platform(settings) as platform:
        with server.admin_door(), server.connect_admin() as admin:  # kills of processes are what is tested
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
        made = Homestead(settings, server, platform, tmp, f"canary-{secrets.token_hex(12)}")
        for _ in range(workspaces):
            made.add()
        yield made


def patiently(work: Callable[[], T]) -> T:
    """Do `work`, again while the server comes back from a crash."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return work()
        except (psycopg.OperationalError, DBAPIError, StrongroomError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
