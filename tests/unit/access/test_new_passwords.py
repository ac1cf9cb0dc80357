"""Which new passwords are accepted."""

import pytest

from strongroom.config.errors import CallError
from strongroom.platform.portal.access.passwords import check_password
from strongroom.platform.portal.access.paths import local_path


@pytest.mark.parametrize(
    "password", ["correct horse battery", "ÄÖÜ ist auch ein Wort", "k7#kz!91pq-x", "🐴🔋📎🎈🧭🪁🍐🥁🛶🦉🧵🪴"]
)
def test_long_ones_are_accepted(password: str) -> None:
    check_password(password, "olga@acme.example", "Acme")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "elevenchars",
        "olga@acme.example",
        "OLGA@acme.example",
        "aaaaaaaaaaaaaa",
        "123456789012",
        "password1234",
        "passwordpassword",
        "Qwertyuiopas",
        "acmepartners2024!",
    ],
)
def test_short_and_expected_ones_are_not(password: str) -> None:
    with pytest.raises(CallError) as refused:
        check_password(password, "olga@acme.example", "acmepartners")
    assert refused.value.field == "password"


@pytest.mark.parametrize(
    "wanted", [None, "", "https://evil.example", "//evil", "/\\evil", "/a\nSet-Cookie: b", "relative"]
)
def test_only_paths_of_this_host_are_followed_after_sign_in(wanted: str | None) -> None:
    assert local_path(wanted) == "/"


def test_a_path_of_this_host_is_followed() -> None:
    assert local_path("/expenses?q=a%20b") == "/expenses?q=a%20b"
