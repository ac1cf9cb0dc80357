"""Which requests another origin has caused."""

import pytest

from strongroom.platform.web.origin import is_foreign

OWN = "https://acme.localhost:8443"
SISTER = "https://birch.localhost:8443"


def foreign(
    method: str = "POST", site: str | None = None, origin: str | None = None, referrer: str | None = None
) -> bool:
    return is_foreign(method, OWN, fetch_site=site, origin=origin, referrer=referrer)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "", "Same-Origin", "same-origin, same-origin"])
def test_only_the_same_origin_may_change_something(site: str) -> None:
    assert foreign(site=site, origin=OWN, referrer=f"{OWN}/members")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_every_method_that_may_change_something_counts(method: str) -> None:
    assert foreign(method, site="same-site")
    assert not foreign(method, site="same-origin")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_pages_are_shown_to_whoever_follows_a_link(site: str) -> None:
    assert not foreign("GET", site=site)
    assert not foreign("HEAD", site=site)


@pytest.mark.parametrize(
    "origin", [SISTER, "null", "", "https://acme.localhost", "http://acme.localhost:8443", "https://["]
)
def test_without_that_word_the_origin_decides(origin: str) -> None:
    assert foreign(origin=origin)
    assert foreign(origin=origin, referrer=f"{OWN}/")
    assert not foreign(origin=OWN, referrer=f"{SISTER}/")


def test_without_both_the_referrer_decides() -> None:
    assert foreign(referrer=f"{SISTER}/members")
    assert foreign(referrer=f"https://acme.localhost:8443.evil.example/{OWN}")
    assert not foreign(referrer=f"{OWN.upper()}/members?x=1")


def test_a_client_that_says_nothing_is_no_browser() -> None:
    assert not foreign()
