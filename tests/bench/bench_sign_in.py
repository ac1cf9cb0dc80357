"""Sign-ins against bare bcrypt of the same cost, from 1, 2 and 4 threads: hashing must leave the interpreter alone.

And a page while sign-ins come without end: hashing must leave the portal alone.
"""

import os
import secrets
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address

import bcrypt
from bench_page import begin_session, caller, quantiles
from flask import Flask
from measuring import Row, installation, new_tenant, ratio

from strongroom.config.errors import UnavailableError
from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher, hash_password, passwords
from strongroom.platform.keys.hashing_room import HashingRoom
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web import limits
from strongroom.platform.web.app import create_app
from strongroom.platform.web.sessions import COOKIE
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import members
from strongroom.tenant_schema.tables import member

COST = 12
PASSWORD = "correct horse battery"
EMAIL = "grace@people.example"
TURNS = 6  # sign-ins of each thread in a round
ROUNDS = 5
THREADS = 4  # of a web process
PAGES = 3_000


def measure() -> list[Row]:
    with installation() as platform:
        tenant = new_tenant(platform, "bench-sign-in")
        join(platform, tenant)
        app = create_app(platform)
        flooded = beside_flood(platform, tenant, app)
        # Every core hashes here; the portal leaves half of them to pages.
        cores = os.cpu_count() or 1
        passwords.room = HashingRoom(cores)
        return [row for threads in (1, 2, 4) for row in compared(app, tenant, threads, cores)] + flooded


def beside_flood(platform: Platform, tenant: Tenant, app: Flask) -> list[Row]:
    """A member's page while as many hash and wait as the portal lets in, beside the same page alone."""
    page = caller(app, tenant, "/settings/sessions", f"{COOKIE}={begin_session(platform, tenant)}")
    passwords.room.admit(THREADS)
    calm = latencies(page)
    with flood():
        busy = latencies(page)
    return [
        ratio(f"a page while sign-ins come without end, {name}", busy[at], "alone", calm[at], target)
        for at, name, target in ((0, "p50", None), (1, "p99", 2.0))
    ]


def latencies(page: Callable[[], None]) -> tuple[float, float]:
    """Milliseconds of one page after the other: p50, p99."""
    times: list[float] = []
    for _ in range(PAGES):
        began = time.perf_counter()
        page()
        times.append((time.perf_counter() - began) * 1000)
    return quantiles(times[PAGES // 10 :])


@contextmanager
def flood() -> Generator[None]:
    """As many threads hash as a web process has; who is sent away comes back at once, as a flood does."""
    over = threading.Event()

    def come() -> None:
        while not over.is_set():
            try:
                hash_password(PASSWORD, b"p" * 32, COST)
            except UnavailableError:
                over.wait(0.02)  # a round trip

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(THREADS):
            pool.submit(come)
        try:
            yield
        finally:
            over.set()


def compared(app: Flask, tenant: Tenant, threads: int, cores: int) -> list[Row]:
    """Sign-ins per second, and per core that can be busy with them, beside bare hashes from as many threads."""
    browsers = [Browser(app, tenant) for _ in range(threads)]
    ours, bare = [], []
    for _ in range(ROUNDS):
        app.extensions[limits.EXTENSION].reset()
        bare.append(seconds(threads, lambda _: hash_once()))
        ours.append(seconds(threads, lambda number: browsers[number].sign_in()))
    busy, count = min(threads, cores), threads * TURNS
    rate, bare_rate = count / min(ours), count / min(bare)
    plural = "thread" if threads == 1 else "threads"
    what = f"sign-in, {threads} {plural}: milliseconds each"
    target = 1.1 if threads == 1 else None
    return [
        ratio(what, 1000 / rate, f"bare bcrypt, cost {COST}", 1000 / bare_rate, target),
        Row(f"sign-ins a second and core, {threads} {plural}", 0, "bare bcrypt", 0, rate / busy, "/s", None),
        Row(f"bare hashes a second and core, {threads} {plural}", 0, "itself", 0, bare_rate / busy, "/s", None),
    ]


def seconds(threads: int, turn: Callable[[int], object]) -> float:
    """How long `threads` threads take for their turns, all at once."""

    def turns(number: int) -> None:
        for _ in range(TURNS):
            turn(number)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(turns, range(threads)))  # warm
        began = time.perf_counter()
        list(pool.map(turns, range(threads)))
        return time.perf_counter() - began


def hash_once() -> None:
    bcrypt.hashpw(b"x" * 64, bcrypt.gensalt(COST))


class Browser:
    """Signs in again and again, with the form's token of the page."""

    def __init__(self, app: Flask, tenant: Tenant) -> None:
        self._client = app.test_client()
        self._base = f"https://{tenant.slug}.localhost"

    def sign_in(self) -> None:
        self._client.environ_base["REMOTE_ADDR"] = str(IPv4Address(secrets.randbits(32)))  # each has a limit
        self._client.delete_cookie("__Host-session", domain=self._base.removeprefix("https://"))
        page = self._client.get("/sign-in", base_url=self._base).text
        token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        form = {"email": EMAIL, "password": PASSWORD, "csrf_token": token}
        headers = {"Origin": self._base, "Referer": f"{self._base}/sign-in"}
        answer = self._client.post("/sign-in", data=form, base_url=self._base, headers=headers)
        assert answer.status_code == 303, answer.text


def join(platform: Platform, tenant: Tenant) -> None:
    """One member, with a hash of the cost that production has."""
    cipher, row_id = FieldCipher(platform.keys.tenant(tenant.id)), new_uuid7()
    with platform.registry.connect(tenant) as conn, conn.begin():
        members.insert(
            conn,
            id=row_id,
            email=cipher.seal(member.c.email, row_id, EMAIL),
            email_index=cipher.blind(member.c.email_index, EMAIL),
            name=cipher.seal(member.c.name, row_id, "Ada"),
            password_hash=hash_password(PASSWORD, platform.keys.platform().pepper, COST),
            role="member",
        )
