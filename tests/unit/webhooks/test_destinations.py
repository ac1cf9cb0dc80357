"""Which addresses a customer may name, and which addresses of a name are on the public internet."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.config.errors import CallError, FailedError
from strongroom.platform.webhooks.destination import (
    ClosedDestinationError,
    Destination,
    is_open,
    pinned,
    read_url,
)

BASE = "strongroom.example"
HOST = Destination("hooks.customer.com", 443, "/")
CLOSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
    168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170
    192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1
    239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1
    ::8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1 100:0:0:1::1 2001::1 2001:0:7f00:1:: 2001:2::1
    2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254
    fd20:ce::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 4000::1 2620:4f:8000::1
"""
OPEN = """
    1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.1 192.0.1.1 198.17.255.255
    198.20.0.0 223.255.255.255 2606:4700::1111 2a00:1450:4001::8a 2001:4860:4860::8888
"""


@pytest.mark.parametrize("address", CLOSED.split())
def test_these_addresses_are_closed(address: str) -> None:
    assert not is_open(ip_address(address))


@pytest.mark.parametrize("address", OPEN.split())
def test_these_are_open(address: str) -> None:
    assert is_open(ip_address(address))


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_open_that_python_does_not_call_global(address: IPv4Address) -> None:
    assert address.is_global or not is_open(address)


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_is_open_that_python_does_not_call_global(address: IPv6Address) -> None:
    assert address.is_global or not is_open(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0/96", "::/96", "64:ff9b::/96", "2002::/16", "64:ff9b:1::/48"]))
def test_no_ipv4_address_comes_in_inside_an_ipv6_one(inner: IPv4Address, outer: str) -> None:
    network = ip_network(outer)
    shift = 80 if outer.startswith("2002") else 0
    assert not is_open(IPv6Address(int(network.network_address) | int(inner) << shift))


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "hooks.customer.com/in",
        "http://hooks.customer.com/",
        "ftp://hooks.customer.com/",
        "file:///etc/passwd",
        "gopher://hooks.customer.com:6379/_INFO",
        "javascript:alert(1)",
        "//hooks.customer.com/",
        "https://",
        "https:///in",
        "https://localhost/",
        "https://localhost./",
        "https://customer/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://1.2.3.0x4/",
        "https://foo.0x/",
        "https://8.8.8.8/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00:ec2::254]/",
        "https://[not-an-address]/",
        "https://①②⑦.0.0.1/",
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
        "https://ⓛocalhost.com/",
        "https://hooks.customer.com:22/",
        "https://hooks.customer.com:80/",
        "https://hooks.customer.com:0/",
        "https://hooks.customer.com:1023/",
        "https://hooks.customer.com:65536/",
        "https://hooks.customer.com:-1/",
        "https://hooks.customer.com:x/",
        "https://user:secret@hooks.customer.com/",
        "https://user@hooks.customer.com/",
        "https://@hooks.customer.com/",
        "https://hooks.customer.com@127.0.0.1/",
        "https://hooks.customer.com\\@127.0.0.1/",
        "https://hooks.customer.com\\.evil.com/",
        "https://hooks.customer.com/#here",
        "https://hooks.customer.com/a b",
        "https://hooks.customer.com/\r\nHost: inside",
        "https://hooks.customer.com/\tin",
        "https://hooks.customer.com\0.evil.com/",
        "https://hooks..customer.com/",
        "https://-hooks.customer.com/",
        "https://hooks.customer.com../",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://hooks.customer.com/" + "a" * 1000,
        f"https://{BASE}/",
        f"https://acme.{BASE}/hooks/cards",
        f"https://ACME.{BASE.upper()}./",
        f"https://a.b.{BASE}:8443/",
    ],
)
def test_these_are_no_destination(url: str) -> None:
    with pytest.raises(CallError) as refused:
        read_url(url, BASE)
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    ("url", "known_as"),
    [
        ("https://hooks.customer.com", "https://hooks.customer.com/"),
        ("https://HOOKS.Customer.COM./In?a=b", "https://hooks.customer.com/In?a=b"),
        ("HTTPS://hooks.customer.com:443/", "https://hooks.customer.com/"),
        ("https://hooks.customer.com:8443/a%20b", "https://hooks.customer.com:8443/a%20b"),
        (" https://hooks.customer.com:65535/ ", "https://hooks.customer.com:65535/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        (f"https://not{BASE}/", f"https://not{BASE}/"),
        ("https://a_b.customer.com/?", "https://a_b.customer.com/"),
    ],
)
def test_these_are_and_have_one_spelling(url: str, known_as: str) -> None:
    found = read_url(url, BASE)
    assert found.url == known_as
    assert read_url(found.url, BASE) == found


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_destination_or_a_sentence(text: str) -> None:
    for url in (text, f"https://{text}", f"https://hooks.customer.com{text}"):
        try:
            found = read_url(url, BASE)
        except CallError:
            continue
        assert found.url.isascii()
        assert "@" not in found.host
        assert found.host != BASE
        assert not found.host.endswith(f".{BASE}")


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.1.2.3", "::1", "fe80::1%1", "169.254.169.254", "::ffff:10.0.0.1"])
def test_one_address_inside_closes_the_name(inside: str) -> None:
    for found in ([inside], ["8.8.8.8", inside], [inside, "8.8.8.8"]):
        with pytest.raises(ClosedDestinationError):
            pinned(HOST, lambda *_, found=found: found)


def test_a_name_without_an_address_fails_and_may_have_one_later() -> None:
    def nothing(_host: str, _port: int) -> list[str]:
        raise OSError

    for resolver in (nothing, lambda *_: []):
        with pytest.raises(FailedError):
            pinned(HOST, resolver)


def test_a_resolver_that_answers_with_no_address_is_not_believed() -> None:
    with pytest.raises(ClosedDestinationError):
        pinned(HOST, lambda *_: ["localhost"])
