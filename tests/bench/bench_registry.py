"""A warm routed request against psycopg on an open connection; a tenant's first request against its next ones."""

import statistics
import time
from collections.abc import Callable

import psycopg
from flask import Flask, request
from measuring import Row, installation, interleaved, new_tenant, ratio
from sqlalchemy import bindparam, select

from strongroom.platform.control.platform import Platform
from strongroom.platform.registry.connection import TenantConnection
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants.records import Tenant
from strongroom.tenant_schema.tables import category

SQL = "SELECT id, name FROM app.category WHERE name = %s"
STATEMENT = select(category.c.id, category.c.name).where(category.c.name == bindparam("name"))
NAME = "Travel"
ROUNDS, EACH = 41, 200
COLD_ROUNDS = 101


def measure() -> list[Row]:
    with installation() as platform:
        tenant = new_tenant(platform, "bench-registry")
        return [*warm(platform, tenant), *in_a_handler(platform, tenant), *cold(platform, tenant)]


def one_row(conn: TenantConnection) -> object:
    return conn.execute(SQL, (NAME,)).fetchone()


def warm(platform: Platform, tenant: Tenant) -> list[Row]:
    host, registry = f"{tenant.slug}.localhost:8443", platform.registry

    def raw(times: int) -> None:
        # The same session of the server as below: where the kernel runs a session matters more than what is measured.
        with registry.borrow(tenant) as conn:
            for _ in range(times):
                one_row(conn)

    def routed(times: int) -> None:
        for _ in range(times):
            with registry.borrow(registry.resolve(host)) as conn:
                one_row(conn)

    def core(times: int) -> None:
        for _ in range(times):
            with registry.connect(registry.resolve(host)) as conn, conn.begin():
                conn.execute(STATEMENT, {"name": NAME}).one()

    rows: list[Row] = []
    for what, function in (
        ("one query, routed: host → tenant → its connection, checked", routed),
        ("one query, routed, SQLAlchemy Core in its transaction", core),
    ):
        function(500)
        raw(500)
        ours, base = interleaved(function, raw, ROUNDS, EACH)
        rows.append(ratio(what, ours, "psycopg, open connection", base, None))
    return rows


def in_a_handler(platform: Platform, tenant: Tenant) -> list[Row]:
    host, registry = f"{tenant.slug}.localhost:8443", platform.registry
    app = Flask("bench")
    open_connections: list[TenantConnection] = []

    @app.get("/raw")
    def raw_view() -> str:
        return str(one_row(open_connections[0]))

    @app.get("/routed")
    def routed_view() -> str:
        with registry.borrow(registry.resolve(request.host)) as conn:
            return str(one_row(conn))

    def call(path: str, times: int) -> None:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "HTTP_HOST": host,
            "SERVER_NAME": "bench",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "https",
        }
        for _ in range(times):
            b"".join(app(dict(environ), lambda *_: None))

    def raw(times: int) -> None:
        with registry.borrow(tenant) as conn:
            open_connections[:] = [conn]
            call("/raw", times)

    def routed(times: int) -> None:
        call("/routed", times)

    routed(500)
    raw(500)
    ours, base = interleaved(routed, raw, ROUNDS, EACH)
    return [
        ratio("warm routed request in a Flask handler", ours, "the same handler, psycopg, open connection", base, 1.1)
    ]


def cold(platform: Platform, tenant: Tenant) -> list[Row]:
    """The tenant's record, its login and a connection are not there yet; ending the former one is not counted."""
    host, registry = f"{tenant.slug}.localhost:8443", platform.registry
    with platform.control.connect() as conn:
        where = servers.by_name(conn, tenant.server).conninfo_params(tenant.database)
    login = platform.keys.placement(tenant.placement_id or "").conninfo_params()

    def routed() -> None:
        with registry.borrow(registry.resolve(host)) as conn:
            one_row(conn)

    def bare() -> None:
        with psycopg.connect(**where, **login, autocommit=True) as conn:
            conn.execute(SQL, (NAME,)).fetchone()

    first, bares, warmed = list[float](), list[float](), list[float]()
    for _ in range(COLD_ROUNDS):
        registry.forget(tenant)
        first.append(milliseconds(routed))
        warmed.append(milliseconds(routed))
        bares.append(milliseconds(bare))
    ours, warm_one, connect = map(statistics.median, (first, warmed, bares))
    what = "cold first request of a tenant"
    return [
        Row(f"{what}, over a warm one", ours, "warm request", warm_one, ours - warm_one, "ms", 4.0),
        ratio(what, ours, "psycopg.connect with the same login, the query, close", connect, None),
    ]


def milliseconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000
