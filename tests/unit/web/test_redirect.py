import pytest

from strongroom.config.settings import load_settings
from strongroom.platform.web.redirect import is_api, redirect_app


@pytest.fixture
def ask(tmp_path):
    app = redirect_app(load_settings(tmp_path))

    def ask(path="/", host="acme.localhost:8080", query="", method="GET"):
        seen = {}

        def start_response(status, headers):
            seen.update(headers, status=int(status.split()[0]))

        environ = {"HTTP_HOST": host, "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method}
        seen["body"] = b"".join(app(environ, start_response))
        return seen

    return ask


def test_a_page_goes_to_the_same_page_over_https(ask):
    answer = ask("/expenses/é".encode().decode("latin-1"), query="state=draft&q=a%20b")
    assert answer["status"] == 308
    assert answer["Location"] == "https://acme.localhost:8443/expenses/%C3%A9?state=draft&q=a%20b"


def test_a_form_that_was_posted_to_a_page_is_redirected_with_its_method(ask):
    assert ask("/sign-in", method="POST")["status"] == 308


@pytest.mark.parametrize("path", ["/api", "/api/v1/expenses", "/API/v1", "//api/v1", "/x/../api/v1", "/./api"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_api_is_refused_not_redirected(ask, path, method):
    answer = ask(path, method=method)
    assert answer["status"] == 403
    assert "Location" not in answer


def test_what_only_begins_like_the_api_is_a_page():
    assert not is_api("/apiary")
    assert not is_api("/help/api")


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "a b", "acme.localhost@evil.example", "evil.example:80"]
)
def test_other_hosts_are_refused(ask, host):
    answer = ask(host=host)
    assert answer["status"] == 400
    assert "Location" not in answer


@pytest.mark.parametrize("path", ["//evil.example/", "/\r\nSet-Cookie: a=b", "/%2f%2fevil.example"])
def test_the_target_stays_on_the_host_whatever_the_path(ask, path):
    location = ask(path)["Location"]
    assert location.startswith("https://acme.localhost:8443/")
    assert "\n" not in location
    assert "\r" not in location


def test_the_base_domain_and_loopback_are_hosts_of_ours(ask):
    assert ask(host="localhost:8080")["Location"] == "https://localhost:8443/"
    assert ask(host="127.0.0.1:8080")["Location"] == "https://127.0.0.1:8443/"
    assert ask(host="ACME.LocalHost")["Location"] == "https://acme.localhost:8443/"


def test_head_has_no_body(ask):
    assert ask(method="HEAD")["body"] == b""
