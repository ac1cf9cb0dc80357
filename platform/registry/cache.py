"""Tenant records by slug: read once, believed as long as `Trust` says, dropped when they change."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...config.errors import NotFoundError
from ..tenants.records import Tenant
from .trust import Trust

_MOST = 20_000  # records; unknown names count too, so whoever tries names cannot fill the memory
_STRIPES = 64
_LONGEST = 60.0  # seconds, however sure the keeper is


@dataclass(frozen=True, slots=True)
class _Entry:
    tenant: Tenant | None  # None: there is no tenant of that slug
    read: float
    kept: float


class TenantCache:
    """Reads a record once per slug, however many threads ask for it."""

    def __init__(self, load: Callable[[str], Tenant], trust: Trust) -> None:
        self._load = load
        self._trust = trust
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # read longest ago first
        self._slugs: dict[str, set[str]] = {}  # by tenant id: under which slugs its record is kept
        self._lock = threading.Lock()
        self._loading = [threading.Lock() for _ in range(_STRIPES)]

    def by_slug(self, slug: str) -> Tenant | None:
        """Return the tenant of that slug, `None` where there is none. Raises whatever loading raises."""
        known = self._fresh(slug)
        if known is None:
            with self._loading[hash(slug) % _STRIPES]:
                known = self._fresh(slug) or self._loaded(slug)
        return known.tenant

    def forget(self, slug: str) -> None:
        """Make the next look-up read again."""
        with self._lock:
            self._drop(slug)

    def outdate(self, tenant_id: str, generation: int, slugs: Iterable[str]) -> None:
        """Drop what is older than that generation of the tenant, which has, or had, these slugs."""
        with self._lock:
            for slug in {*slugs, *self._slugs.get(tenant_id, ())}:
                entry = self._entries.get(slug)
                if entry and not _is_current(entry.tenant, tenant_id, generation):
                    self._drop(slug)

    def _fresh(self, slug: str) -> _Entry | None:
        entry = self._entries.get(slug)
        return entry if entry and self._trust.holds(entry.read, entry.kept, _LONGEST) else None

    def _loaded(self, slug: str) -> _Entry:
        read = time.monotonic()
        try:
            tenant: Tenant | None = self._load(slug)
        except NotFoundError:
            tenant = None
        with self._lock:
            entry = _Entry(tenant, read, time.monotonic())
            self._drop(slug)
            self._entries[slug] = entry
            if tenant:
                self._slugs.setdefault(tenant.id, set()).add(slug)
            while len(self._entries) > _MOST:
                self._drop(next(iter(self._entries)))
        return entry

    def _drop(self, slug: str) -> None:
        entry = self._entries.pop(slug, None)
        if entry and entry.tenant:
            slugs = self._slugs[entry.tenant.id]
            slugs.discard(slug)
            if not slugs:
                del self._slugs[entry.tenant.id]


def _is_current(tenant: Tenant | None, tenant_id: str, generation: int) -> bool:
    return tenant is not None and tenant.id == tenant_id and tenant.generation >= generation
