"""Uploaded files never reach a disk before they are sealed."""

import tempfile
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, Request, request

from strongroom.platform.web.uploads import MemoryRequest

PICTURE = b"x" * (20 * 1024 * 1024)
BODY = (
    b'--edge\r\nContent-Disposition: form-data; name="receipt"; filename="a.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n" + PICTURE + b"\r\n--edge--\r\n"
)


@pytest.fixture
def files_made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every upload that went from memory to a temporary file."""
    made: list[object] = []
    rollover = tempfile.SpooledTemporaryFile[bytes].rollover

    def recorded(spooled: Any) -> None:
        made.append(spooled)
        rollover(spooled)

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", recorded)
    return made


def upload(request_class: type[Request]) -> bytes:
    app = Flask("uploads")
    app.request_class = request_class
    headers = {"Content-Type": "multipart/form-data; boundary=edge", "Content-Length": str(len(BODY))}
    with app.test_request_context("/", method="POST", input_stream=BytesIO(BODY), headers=headers):
        received = request.files["receipt"]
        content = received.read()
        received.close()
        return content


def test_an_upload_of_20_mb_makes_no_file(files_made: list[object]) -> None:
    assert upload(MemoryRequest) == PICTURE
    assert files_made == []


def test_flasks_own_request_would_make_one(files_made: list[object]) -> None:
    assert upload(Request) == PICTURE
    assert len(files_made) == 1
