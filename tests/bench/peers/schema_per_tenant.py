"""django-tenants: one database, a schema per tenant, chosen by the host name through `search_path`.

After django-tenants' documentation, “Installation” and “Using django-tenants”: `migrate_schemas`, tenants made by
saving them (`auto_create_schema`), `TenantMainMiddleware`; and Django's on persistent connections, which are off by
default and on here, because nobody would compare without. Not named after the package, which it would hide.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import Column
from sqlalchemy import types as sql

from strongroom.tenant_schema.tables import metadata as ours

from .peer_schema import NAME, first_rows
from .peer_server import PASSWORD, ROLE, PeerServer, Request

_DATABASE = "schemas"
_PROJECT = "peer_project"
_SETTINGS = """\
SECRET_KEY = "bench"
DATABASES = {{"default": {{
    "ENGINE": "django_tenants.postgresql_backend", "NAME": "{database}", "USER": "{role}", "PASSWORD": "{password}",
    "HOST": "{server.socket}", "PORT": "{server.port}", "CONN_MAX_AGE": None,
}}}}
DATABASE_ROUTERS = ("django_tenants.routers.TenantSyncRouter",)
SHARED_APPS = ["django_tenants", "peer_project.customers", "django.contrib.contenttypes"]
TENANT_APPS = ["peer_project.ledger"]
INSTALLED_APPS = SHARED_APPS + TENANT_APPS
TENANT_MODEL = "customers.Client"
TENANT_DOMAIN_MODEL = "customers.Domain"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
_CUSTOMERS = """\
from django.db import models
from django_tenants.models import DomainMixin, TenantMixin

class Client(TenantMixin):
    name = models.CharField(max_length=100)
    auto_create_schema = True

class Domain(DomainMixin):
    pass
"""
# Prints the milliseconds for each tenant.
_MAKE = """\
import json, sys, time
import django
django.setup()
from django_tenants.utils import tenant_context
from peer_project.customers.models import Client, Domain
from peer_project.ledger.models import Category
Client(schema_name="public", name="public").save()
rows = json.load(sys.stdin)
began = time.perf_counter()
for index, first in enumerate(rows):
    tenant = Client(schema_name=f"tenant_{index}", name=f"Tenant {index}")
    tenant.save(verbosity=0)
    Domain(domain=f"tenant-{index}.example", tenant=tenant, is_primary=True).save()
    with tenant_context(tenant):
        Category.objects.bulk_create(Category(**row) for row in first)
print((time.perf_counter() - began) * 1000 / len(rows))
"""
_FIELDS = (
    (sql.Uuid, "UUIDField({})"),
    (sql.Boolean, "BooleanField({})"),
    (sql.SmallInteger, "SmallIntegerField({})"),
    (sql.BigInteger, "BigIntegerField({})"),
    (sql.Integer, "IntegerField({})"),
    (sql.Numeric, "DecimalField(max_digits=20, decimal_places=4, {})"),
    (sql.DateTime, "DateTimeField({})"),
    (sql.Date, "DateField({})"),
    (sql.LargeBinary, "BinaryField({})"),
    (sql.JSON, "JSONField({})"),
)


@dataclass(frozen=True)
class SchemaPerTenant:
    """django-tenants with the tables that our tenants have."""

    server: PeerServer
    name: str = "django-tenants, schema per tenant"
    affinity: bool = False

    def set_up(self, tenants: int) -> float:
        """Make so many tenants and return the milliseconds for each."""
        self.server.make_role()
        with self.server.admin() as admin:
            admin.execute(f"CREATE DATABASE {_DATABASE} OWNER {ROLE}")
        self._write_project()
        self._run("-m", "django", "makemigrations", "--verbosity", "0")
        self._run("-m", "django", "migrate_schemas", "--shared", "--verbosity", "0")
        rows = [[{**row, "id": row["id"].hex} for row in first_rows(index)] for index in range(tenants)]
        return float(self._run("-c", _MAKE, given=json.dumps(rows)).splitlines()[-1])

    @contextmanager
    def opened(self) -> Generator[Request]:
        """Yield what makes requests in this process, of which Django takes hold: one such peer per process."""
        sys.path.insert(0, str(self._root))
        os.environ["DJANGO_SETTINGS_MODULE"] = f"{_PROJECT}.settings"
        for module in ("django", "django.db", "django.apps", "django_tenants.middleware.main"):
            import_module(module)  # by name: they are there for `make bench` only
        django: Any = sys.modules["django"]
        django.setup()
        here: Any = django.db.connection
        category: Any = django.apps.apps.get_model("ledger", "Category")
        domain: Any = django.apps.apps.get_model("customers", "Domain")
        middleware: Any = sys.modules["django_tenants.middleware.main"].TenantMainMiddleware(lambda _: None)

        def request(index: int) -> object:
            # What TenantMainMiddleware.process_request does around these.
            here.set_schema_to_public()
            here.set_tenant(middleware.get_tenant(domain, f"tenant-{index}.example"))
            return category.objects.get(name=NAME).position

        yield request
        django.db.connections.close_all()

    def tear_down(self) -> None:
        """Drop everything."""
        self.server.drop_role()

    @property
    def _root(self) -> Path:
        return self.server.folder / "django"

    def _write_project(self) -> None:
        files = {
            "__init__.py": "",
            "settings.py": _SETTINGS.format(server=self.server, database=_DATABASE, role=ROLE, password=PASSWORD),
            "customers/__init__.py": "",
            "customers/models.py": _CUSTOMERS,
            "customers/migrations/__init__.py": "",
            "ledger/__init__.py": "",
            "ledger/models.py": models_text(),
            "ledger/migrations/__init__.py": "",
        }
        for name, content in files.items():
            path = self._root / _PROJECT / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def _run(self, *arguments: str, given: str = "") -> str:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": f"{_PROJECT}.settings", "PYTHONPATH": str(self._root)}
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=self._root, env=environment, input=given, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout


def is_installed() -> bool:
    """Say whether this peer can be measured here; `make bench` installs it."""
    return find_spec("django_tenants") is not None


def models_text() -> str:
    """Our tables as Django's models."""
    lines = ["from django.db import models", ""]
    for table in ours.sorted_tables:
        lines += [f"class {_class_of(table.name)}(models.Model):"]
        lone_key = len(table.primary_key.columns) == 1
        for column in table.columns:
            lines.append(f"    {_attribute(column)} = models.{_field(column, key=column.primary_key and lone_key)}")
        lines.append("")
    return "\n".join(lines)


def _field(column: Column[Any], *, key: bool) -> str:
    options = "primary_key=True" if key else f"null={column.nullable}"
    if column.name == "name" and column.table.name == "category":
        options += ", unique=True"
    for reference in column.foreign_keys:
        target = _class_of(reference.target_fullname.split(".")[-2])
        return f'ForeignKey("{target}", models.CASCADE, related_name="+", {options})'
    kind = next((text for kind, text in _FIELDS if isinstance(column.type, kind)), "TextField({})")
    return kind.format(options)


def _attribute(column: Column[Any]) -> str:
    return column.name.removesuffix("_id") if column.foreign_keys else column.name


def _class_of(table: str) -> str:
    return table.title().replace("_", "")
