"""Each peer with ten tenants: every answer carries its own tenant's marker. Run by hand: python -m peers.try_peers."""

from . import pgbouncer_wildcard, schema_per_tenant
from .engine_per_tenant import EnginePerTenant
from .peer_server import peer_server
from .pgbouncer_wildcard import PgBouncerWildcard
from .schema_per_tenant import SchemaPerTenant
from .shared_tables_rls import SharedTables

TENANTS = 10


def main() -> None:
    with peer_server() as server:
        peers = [SharedTables(server), EnginePerTenant(server)]
        peers += [PgBouncerWildcard.on(server)] if pgbouncer_wildcard.is_installed() else []
        peers += [SchemaPerTenant(server)] if schema_per_tenant.is_installed() else []
        for peer in peers:
            spent = peer.set_up(TENANTS)
            with peer.opened() as request:
                wrong = [index for index in [*range(TENANTS)] * 3 if request(index) != index]
            peer.tear_down()
            print(f"{peer.name}: {spent:.1f} ms per tenant, {len(wrong)} wrong markers")


if __name__ == "__main__":
    main()
