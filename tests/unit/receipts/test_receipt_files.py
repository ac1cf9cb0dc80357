import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from strongroom.config.errors import CallError
from strongroom.platform.portal.receipts import files

Save = Callable[..., bytes]


def picture(size: tuple[int, int] = (300, 500), mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, size, "white")
    ImageDraw.Draw(image).rectangle((10, 10, 90, 40), fill="black")
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pdf(pages: int = 1, size: tuple[float, float] = (300, 500)) -> bytes:
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(*size)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


def opened(content: bytes) -> Any:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_pictures_are_kept_with_their_pixels_and_get_a_preview(kind: str, media_type: str) -> None:
    done = files.clean(saved(picture((2000, 3000)), kind))
    assert (done.media_type, done.width, done.height) == (media_type, 2000, 3000)
    assert opened(done.content).size == (2000, 3000)
    preview = opened(done.preview)
    assert preview.format == "JPEG"
    assert max(preview.size) == files.PREVIEW_SIDE


def test_a_pdf_is_kept_as_it_is_and_its_first_page_is_drawn() -> None:
    content = pdf()
    done = files.clean(content)
    assert done.content == content
    assert done.media_type == "application/pdf"
    assert opened(done.preview).format == "JPEG"


def test_place_and_other_notes_in_a_photo_are_dropped_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°
    exif[0x010E] = "CANARY description"
    exif.get_ifd(0x8825)[1] = "N CANARY"
    done = files.clean(saved(picture((300, 500)), "JPEG", exif=exif, comment=b"CANARY comment") + b"CANARY tail")
    assert (done.width, done.height) == (500, 300)
    assert b"CANARY" not in done.content
    assert b"CANARY" not in done.preview
    assert not opened(done.content).getexif()


def test_notes_in_png_and_webp_are_dropped() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "CANARY")
    exif = Image.Exif()
    exif[0x010E] = "CANARY"
    assert b"CANARY" not in files.clean(saved(picture(), "PNG", pnginfo=notes, exif=exif)).content
    assert b"CANARY" not in files.clean(saved(picture(), "WEBP", exif=exif, xmp=b"<x>CANARY</x>")).content


def test_a_jpeg_loses_next_to_nothing() -> None:
    source = saved(Image.radial_gradient("L").convert("RGB"), "JPEG", quality=70)
    before, after = opened(source), opened(files.clean(source).content)
    assert before.quantization == after.quantization
    worst = max(abs(a - b) for a, b in zip(before.tobytes(), after.tobytes(), strict=True))
    assert worst <= 4


def test_unreadable_notes_in_a_photo_are_dropped_too() -> None:
    broken = saved(picture(), "JPEG", exif=b"Exif\0\0MM\0*CANARY nonsense")
    assert b"CANARY" not in files.clean(broken).content


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "1", "I;16", "CMYK"])
def test_pictures_of_every_mode_get_a_preview(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    image = Image.new("I;16", (50, 60)) if mode == "I;16" else picture((50, 60)).convert(mode)
    assert opened(files.clean(saved(image, kind)).preview).mode == "RGB"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "empty"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "SVG files are not accepted"),
        (b"\n <svg onload='x'></svg>", "SVG files are not accepted"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "Web pages are not accepted"),
        (b"\xef\xbb\xbf<html>", "Web pages are not accepted"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"GIF89a" + b"\0" * 20, "not a JPEG, PNG, WebP or PDF"),
        (b"PK\x03\x04", "not a JPEG, PNG, WebP or PDF"),
        (b"hello", "not a JPEG, PNG, WebP or PDF"),
        (b"\xff\xd8\xff\xe0 nonsense", "begins like a JPEG|damaged"),
        (b"\x89PNG\r\n\x1a\n<svg></svg>", "begins like a PNG|damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "begins like a WebP|damaged"),
        (b"%PDF-1.7 nothing", "PDF file is damaged"),
    ],
)
def test_what_is_no_receipt_is_refused_with_a_sentence(content: bytes, part: str) -> None:
    with pytest.raises(CallError, match=part) as caught:
        files.clean(content)
    assert caught.value.field == "file"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_picture_is_refused(kind: str) -> None:
    whole = saved(Image.effect_noise((400, 400), 80).convert("RGB"), kind)
    with pytest.raises(CallError, match=r"damaged or incomplete|begins like"):
        files.clean(whole[: len(whole) * 2 // 3])


def test_a_truncated_pdf_is_refused() -> None:
    with pytest.raises(CallError, match="PDF file is damaged"):
        files.clean(pdf(3)[:100])


def test_a_pixel_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def never(*_: object) -> None:
        pytest.fail("the bomb was decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", never)
    for width, height in ((60_000, 60_000), (8_000, 8_000), (1_000_000, 1)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        with pytest.raises(CallError, match="too many pixels"):
            files.clean(bomb)


def test_more_than_20_mb_is_refused_before_it_is_read() -> None:
    with pytest.raises(files.TooLargeError, match="20 MB"):
        files.clean(b"\xff\xd8\xff" + b"\0" * files.LARGEST)


def test_a_pdf_with_a_giant_page_or_too_many_is_bounded() -> None:
    assert max(opened(files.clean(pdf(size=(14_000, 14_000))).preview).size) <= files.PREVIEW_SIDE
    with pytest.raises(CallError, match="201 pages"):
        files.clean(pdf(201, (10, 10)))


def test_a_real_receipt_stays_legible(tmp_path: Path) -> None:
    scan = Image.effect_noise((463, 1013), 30).convert("RGB")
    done = files.clean(saved(scan, "JPEG", dpi=(150, 150)))
    assert opened(done.preview).size == (463, 1013)
    small = opened(files.thumbnail(done.preview))
    assert max(small.size) == files.THUMBNAIL_SIDE
