"""Where the keeper reports what has changed in the control database."""

import json
from collections.abc import Callable, Iterable


class Changes:
    """Passes on changes of tenants and servers, as they are announced by the control database's triggers."""

    def __init__(self, tenant: Callable[[str, int, Iterable[str]], None], server: Callable[[str], None]) -> None:
        """`tenant` is called with id, present generation, and slugs it has or had; `server` with a name."""
        self.tenant = tenant
        self.server = server

    def tenant_announced(self, payload: str) -> None:
        """Read the words of the trigger `announce` on the table `tenant`."""
        said = json.loads(payload)
        self.tenant(str(said["id"]), int(said["generation"]), [str(slug) for slug in said["slugs"]])
