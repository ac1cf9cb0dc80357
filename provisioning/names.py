"""Names that a placement has on its PostgreSQL server. Opaque: shared catalogs show them to everybody."""

from dataclasses import dataclass

from ..platform.tenants import ids

OWNER = "strongroom_owner"  # owns the databases, logs in nowhere
PROVISIONER = "strongroom_provisioner"
MIGRATOR = "strongroom_migrator"
BACKUP = "strongroom_backup"
CONTROL = "strongroom_control"  # role and database
TEMPLATE = "strongroom_template"
TEMPLATE_OWNER = "strongroom_template_own"
LOGINS = "tenant_logins"
OWNERS = "tenant_owners"
MAINTENANCE = "postgres"


@dataclass(frozen=True, slots=True)
class Names:
    """Database, login role and owner role of the placement `pid`."""

    pid: str

    def __post_init__(self) -> None:
        ids.database_name(self.pid)  # raises for anything but an id: these names become part of statements

    @property
    def database(self) -> str:
        """Name of the database and of the login role: `sameuser` in pg_hba.conf depends on it."""
        return ids.database_name(self.pid)

    @property
    def role(self) -> str:
        """The tenant's login: rows, never structure."""
        return ids.database_name(self.pid)

    @property
    def owner(self) -> str:
        """The role without login that owns the objects inside."""
        return ids.owner_role(self.pid)
