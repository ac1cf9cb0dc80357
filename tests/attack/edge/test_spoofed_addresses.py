"""Who says where a request comes from: believed where the CDN proves to be the CDN, and nowhere else."""

import http.client
import ssl

import pytest

CLAIMS = ("CF-Connecting-IP", "X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP")
REFUSED = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)


def test_the_ordinary_listener_believes_no_header(https):
    claims = [(name, "203.0.113.9") for name in CLAIMS]
    _, _, said = https.ask(headers=[*claims, ("CF-IPCountry", "FR"), ("X-Forwarded-Proto", "http")])
    assert (said["address"], said["country"], said["scheme"]) == ("127.0.0.1", None, "https")


def test_no_header_can_be_what_the_country_is_read_from(https):
    _, _, said = https.ask(headers=[("strongroom.country", "FR"), ("HTTP-strongroom.country", "FR")])
    assert said["country"] is None


def test_the_cdn_is_believed_where_it_shows_its_certificate(cdn):
    headers = [("CF-Connecting-IP", "203.0.113.9"), ("CF-IPCountry", "FR")]
    status, _, said = cdn.ask(headers=headers, certificate=cdn.shown)
    assert (status, said["address"], said["country"]) == (200, "203.0.113.9", "FR")


def test_other_headers_are_not_believed_there_either(cdn):
    claims = [(name, "198.51.100.7") for name in CLAIMS[1:]]
    _, _, said = cdn.ask(headers=[("CF-Connecting-IP", "2001:DB8::9"), *claims], certificate=cdn.shown)
    assert said["address"] == "2001:db8::9"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("CF-Connecting-IP", "203.0.113.9"), ("CF-Connecting-IP", "198.51.100.7")],
        [("CF-Connecting-IP", "203.0.113.9, 198.51.100.7")],
        [("CF-Connecting-IP", "nobody")],
        [("CF-Connecting-IP", "203.0.113.9:80")],
        [("CF-Connecting-IP", "fe80::1%eth0")],
        [("CF_Connecting_IP", "203.0.113.9")],
    ],
)
def test_a_request_without_exactly_one_address_is_refused(cdn, headers):
    assert cdn.ask(headers=headers, certificate=cdn.shown)[0] == 400


@pytest.mark.parametrize("said", ["XX", "T1", "fr", "FRA", "F", "FR, GB", "<script>"])
def test_a_country_that_is_none_is_not_taken_over(cdn, said):
    headers = [("CF-Connecting-IP", "203.0.113.9"), ("CF-IPCountry", said)]
    assert cdn.ask(headers=headers, certificate=cdn.shown)[2]["country"] is None


def test_who_shows_no_certificate_does_not_reach_that_listener(cdn):
    with pytest.raises(REFUSED):
        cdn.ask(headers=[("CF-Connecting-IP", "203.0.113.9")])


def test_a_certificate_of_somebody_else_is_refused(cdn, authority, tmp_path):
    stranger = authority("The zone").issue(tmp_path / "stranger.pem", client=True)
    with pytest.raises(REFUSED):
        cdn.ask(headers=[("CF-Connecting-IP", "203.0.113.9")], certificate=stranger)


def test_a_certificate_for_serving_is_none_for_calling(cdn, zone, tmp_path):
    server = zone.issue(tmp_path / "server.pem", ["cdn.example"])
    with pytest.raises(REFUSED):
        cdn.ask(headers=[("CF-Connecting-IP", "203.0.113.9")], certificate=server)
