"""Countries of addresses, from the data that ships with the program."""

import pytest
from flask import Flask

from strongroom.platform.web import places
from strongroom.platform.web.forwarded import COUNTRY


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("8.8.8.8", "US"),
        ("1.0.16.1", "JP"),
        ("193.0.6.139", "NL"),
        ("185.70.40.1", "CH"),
        ("2001:67c:2e8:22::c100:68b", "NL"),
        ("::ffff:193.0.6.139", "NL"),
    ],
)
def test_public_addresses_have_a_country(address: str, code: str) -> None:
    assert places.country_of(address) == code


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0.1", "::1", "fe80::1", "fd00::1", "100.64.0.1", "224.0.0.1", "", "nonsense", None]
)
def test_private_and_broken_addresses_have_none(address: str | None) -> None:
    assert places.country_of(address) is None


def test_a_country_has_its_name() -> None:
    assert places.country_name("DE") == "Germany"
    assert places.country_name("GB") == "United Kingdom"
    assert places.country_name(None) is None
    assert places.country_name("??") is None


@pytest.mark.parametrize(("told", "code"), [("DE", "DE"), ("de", "DE"), ("T1", None), ("??", None), (None, "US")])
def test_the_listeners_word_comes_before_the_address(told: str | None, code: str | None) -> None:
    environ = {"REMOTE_ADDR": "8.8.8.8", COUNTRY: told}
    with Flask("test").test_request_context(environ_overrides=environ):
        assert places.country() == code


def test_a_header_is_not_the_listeners_word() -> None:
    headers = {"CF-IPCountry": "DE", "strongroom.country": "DE", "Strongroom-Country": "DE"}
    with Flask("test").test_request_context(headers=headers, environ_overrides={"REMOTE_ADDR": "8.8.8.8"}):
        assert places.country() == "US"
