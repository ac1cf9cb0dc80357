"""Pages that go out compressed."""

import gzip

import pytest
from flask import Flask, Response

from strongroom.platform.web import compression
from strongroom.platform.web.compression import gzip_with_noise

PAGE = "<p>the same words again and again</p>" * 200


@pytest.fixture
def app() -> Flask:
    app = Flask("compression")
    compression.install(app)
    app.add_url_rule("/page", "page", lambda: PAGE)
    app.add_url_rule("/short", "short", lambda: "<p>short</p>")
    app.add_url_rule("/picture", "picture", lambda: Response(b"\xff\xd8" * 2000, mimetype="image/jpeg"))
    return app


def test_a_page_comes_compressed_to_who_accepts_it(app: Flask) -> None:
    answer = app.test_client().get("/page", headers={"Accept-Encoding": "gzip, br"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert int(answer.headers["Content-Length"]) == len(answer.data) < len(PAGE) / 10
    assert gzip.decompress(answer.data).decode() == PAGE


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0, br"])
def test_it_comes_as_it_is_to_who_does_not(app: Flask, accepted: str) -> None:
    answer = app.test_client().get("/page", headers={"Accept-Encoding": accepted})
    assert answer.text == PAGE
    assert "Content-Encoding" not in answer.headers
    assert "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/short", "/picture"])
def test_what_would_not_shrink_stays_as_it_is(app: Flask, path: str) -> None:
    answer = app.test_client().get(path, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


def test_the_length_says_nothing_about_the_content() -> None:
    assert len({len(gzip_with_noise(PAGE.encode())) for _ in range(50)}) > 10
