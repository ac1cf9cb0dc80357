"""Tenant records by slug, never older than the settings allow."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from ...config.errors import NotFoundError
from ..tenants.records import Tenant

_MOST = 20_000  # records; unknown names count too, so whoever tries names cannot fill the memory
_STRIPES = 64


class TenantCache:
    """Reads a record once per `seconds` and slug, however many threads ask for it."""

    def __init__(self, load: Callable[[str], Tenant], seconds: float) -> None:
        self._load = load
        self._seconds = seconds
        self._records: OrderedDict[str, tuple[float, Tenant | None]] = OrderedDict()  # loaded longest ago first
        self._lock = threading.Lock()
        self._loading = [threading.Lock() for _ in range(_STRIPES)]

    def by_slug(self, slug: str) -> Tenant | None:
        """Return the tenant of that slug, `None` where there is none. Raises whatever loading raises."""
        known = self._fresh(slug)
        if known is None:
            with self._loading[hash(slug) % _STRIPES]:
                known = self._fresh(slug) or self._loaded(slug)
        return known[1]

    def forget(self, slug: str) -> None:
        """Make the next look-up read again."""
        with self._lock:
            self._records.pop(slug, None)

    def _fresh(self, slug: str) -> tuple[float, Tenant | None] | None:
        known = self._records.get(slug)
        return known if known and time.monotonic() - known[0] < self._seconds else None

    def _loaded(self, slug: str) -> tuple[float, Tenant | None]:
        began = time.monotonic()
        try:
            tenant: Tenant | None = self._load(slug)
        except NotFoundError:
            tenant = None
        with self._lock:
            self._records.pop(slug, None)
            self._records[slug] = began, tenant
            while len(self._records) > _MOST:
                self._records.popitem(last=False)
        return began, tenant
