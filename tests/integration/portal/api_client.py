"""A workspace with a member of each role, and programs that call its API with tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from account_holders import Workspace
from flask import Flask

from strongroom.platform.api import tokens
from strongroom.platform.api.scopes import ApiScope
from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.tokens import hash_of
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.app import API, create_app
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import api_tokens, categories

EVERYTHING = tuple(ApiScope)


@dataclass
class Program:
    """A caller of one workspace's API, with its token."""

    app: Flask
    base: str
    token: str | None
    token_id: UUID | None = None

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Send one request; `json`, `data`, `query_string` and `headers` as for Werkzeug's client."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= arguments.pop("headers", {})
        return self.app.test_client().open(path, method=method, base_url=self.base, headers=headers, **arguments)

    def get(self, path: str, **arguments: Any) -> Any:
        return self.call("GET", path, **arguments)

    def post(self, path: str, json: object = None, **arguments: Any) -> Any:
        return self.call("POST", path, **({"json": json} if json is not None else {}), **arguments)


@dataclass(frozen=True)
class Office(Workspace):
    """A workspace whose members are known by their role."""

    people: dict[Role, UUID]

    @property
    def base(self) -> str:
        return f"https://{self.host}"

    def program(
        self, role: Role = Role.OWNER, scopes: Sequence[str] = EVERYTHING, *, good_for: timedelta = timedelta(days=7)
    ) -> Program:
        """A program with a new token of the member of that role."""
        token, row_id = tokens.make(), new_uuid7()
        with self.database() as conn:
            api_tokens.insert(
                conn,
                id=row_id,
                member_id=self.people[role],
                token_hash=hash_of(token),
                hint=tokens.hint_of(token),
                name=self.cipher.seal(tables.api_token.c.name, row_id, "Test"),
                scopes=scopes,
                expires_at=datetime.now(UTC) + good_for,
            )
        return Program(self.app, self.base, token, row_id)

    def stranger(self) -> Program:
        """A program without a token."""
        return Program(self.app, self.base, None)

    def category(self) -> str:
        """One that the workspace began with."""
        with self.database() as conn:
            return str(next(one.id for one in categories.list_all(conn) if one.active))

    def expense(self, **changed: object) -> dict[str, object]:
        """What a program sends to create a draft."""
        given = {"spent_on": "2026-03-12", "merchant": "Hotel Adler", "amount": "118.40", "currency": "GBP"}
        return given | {"category_id": self.category()} | changed


def open_office(platform: Platform, tenant_factory: Callable[..., Tenant], app: Flask | None = None) -> Office:
    """A fresh workspace with a member of each role."""
    office = Office(platform, app or create_app(platform), tenant_factory(), {})
    for role in Role:
        office.people[role] = office.join(role, f"The {role.label}", email_of(role)).id
    return office


def api_of(app: Flask) -> Flask:
    """The application that answers under /api."""
    return app.extensions[API]


def email_of(role: Role) -> str:
    """The address of the member who has that role."""
    return f"{role.value.replace('_', '-')}@people.example"
