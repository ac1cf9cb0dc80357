"""Receipts made to stop, fill or crash what reads them: each is refused in time, and the next one is read."""

import io
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from strongroom.config.errors import CallError
from strongroom.platform.portal.receipts.workshop import Workshop


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


def photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 90), "navy").save(out, "JPEG")
    return out.getvalue()


def endless_pdf(depth: int = 12) -> bytes:
    """Each form draws the next one ten times: 10¹² rectangles."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</XObject<</A 5 0 R>>>>>>",
        stream(b"", b"/A Do " * 10),
    ]
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]"
    inner = range(6, 6 + depth)
    objects += [stream(form + b"/Resources<</XObject<</A %d 0 R>>>>" % number, b"/A Do " * 10) for number in inner]
    objects.append(stream(form, b"0 0 50 50 re f"))
    body, places = b"%PDF-1.7\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj" % number + one + b"endobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + end


def stream(entries: bytes, content: bytes) -> bytes:
    return b"<<" + entries + b"/Length %d>>stream\n" % len(content) + content + b"\nendstream"


def test_a_pdf_that_draws_for_ever_is_given_up() -> None:
    begun, workshop = time.monotonic(), Workshop(cpu_seconds=3.0)
    with pytest.raises(CallError, match="too long"):
        workshop.clean(endless_pdf())
    assert time.monotonic() - begun < 100
    assert workshop.clean(photo()).width == 60
    workshop.close()


def test_a_decoder_that_crashes_takes_nothing_else_along(workshop: Workshop) -> None:
    assert workshop.clean(photo()).height == 90
    pid = child_of(os.getpid())
    os.kill(pid, signal.SIGSEGV)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # until it has ended; whoever started it still learns of it
    assert workshop.clean(photo()).height == 90
    workshop.close()


def test_uploads_at_once_get_their_own_answers(workshop: Workshop) -> None:
    found: list[object] = []

    def send(content: bytes) -> None:
        try:
            found.append(workshop.clean(content).width)
        except CallError as error:
            found.append(str(error))

    threads = [threading.Thread(target=send, args=(one,)) for one in (photo(), photo()[:300], photo(), b"GIF89a")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == [
        "60",
        "60",
        "This JPEG file is damaged or incomplete; upload it again.",
        "This is not a JPEG, PNG, WebP or PDF file.",
    ]
    workshop.close()


def test_the_decoder_has_no_secrets_in_its_environment_and_writes_no_file(workshop: Workshop) -> None:
    workshop.clean(photo())
    process = Path(f"/proc/{child_of(os.getpid())}")
    assert b"PATH" not in (process / "environ").read_bytes()
    limits = (process / "limits").read_text()
    assert next(line for line in limits.splitlines() if line.startswith("Max file size")).split()[3] == "0"
    workshop.close()


def child_of(parent: int) -> int:
    """The workshop among the children of this process."""
    for task in Path(f"/proc/{parent}/task").iterdir():
        with suppress(OSError):  # a thread or a process that ends just now
            for child in (task / "children").read_text().split():
                if b"receipts.workshop" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
    raise AssertionError("no workshop runs")
