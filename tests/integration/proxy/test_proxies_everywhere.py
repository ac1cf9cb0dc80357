"""A proxy that listens at all addresses; collected where there is a proxy and IPv6."""

import os
import shutil
import socket

import pytest

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
INSTALLED = [name for name in ("nginx", "haproxy") if shutil.which(name, path=PLACES)]


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


if INSTALLED and has_ipv6():

    @pytest.mark.parametrize("edge_everywhere", INSTALLED, indirect=True)
    def test_it_is_reached_over_both_protocols_and_tells_each_callers_address(edge_everywhere):
        for address in ("127.0.0.1", "::1"):
            status, _, said = edge_everywhere.ask("tenant-1.localhost", at=address)
            assert (status, said["address"]) == (200, address)
            port = edge_everywhere.settings.http_port
            socket.create_connection((address, port), 5).close()
