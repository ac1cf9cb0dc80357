import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.platform.registry.hosts import is_site, workspace_of


@pytest.mark.parametrize(
    "host",
    ["acme.localhost", "ACME.localhost", "acme.localhost:8443", "acme.localhost.", "Acme.LocalHost.:8443"],
)
def test_case_port_and_trailing_dot_do_not_matter(host: str) -> None:
    assert workspace_of(host, "localhost") == "acme"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "acme",
        "acme.localhost.evil.example",
        "a.acme.localhost",
        ".localhost",
        "acme..localhost",
        "acme.localhost..",
        "acme.localhost:",
        "acme.localhost:84430000",
        "acme.localhost:80:80",
        "acme.localhost:x",
        "acme.localhost\n",
        "acme.localhost/",
        " acme.localhost",
        "user@acme.localhost",
        "acme_x.localhost",
        "-acme.localhost",
        "acme-.localhost",
        "ac--me.localhost",
        "xn--acm-dma.localhost",
        "acmé.localhost",
        "\uff41cme.localhost",
        "acme\u3002localhost",
        "1acme.localhost",
        "[::1]:8443",
        "127.0.0.1",
        "a" * 41 + ".localhost",
        "a" * 100_000 + ".localhost",
        "acme.notlocalhost",
    ],
)
def test_anything_else_is_unknown(host: str) -> None:
    assert workspace_of(host, "localhost") is None


@given(st.text(max_size=60))
def test_whatever_is_accepted_is_exactly_that_slug(text: str) -> None:
    slug = workspace_of(text, "localhost")
    assert slug is None or text.lower().rstrip(".").split(":")[0].rstrip(".") == f"{slug}.localhost"


def test_the_base_domain_is_the_site_and_no_workspace() -> None:
    assert is_site("localhost:8443", "localhost")
    assert is_site("LOCALHOST.", "localhost")
    assert not is_site("acme.localhost", "localhost")
    assert not is_site("", "localhost")
