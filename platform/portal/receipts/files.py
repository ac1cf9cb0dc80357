"""What may be a receipt: told by its first bytes, checked by decoding all of it, and cleaned. Pure, in memory.

An image is written anew from its pixels: what else was in the file (EXIF with the place of the photograph, a thumbnail,
bytes after the end) is not kept. A JPEG keeps its own quantisation tables, so that writing it again loses next to
nothing. A PDF is kept as it is, since it is only ever offered for download; its first page is drawn as the preview.
"""

import io
import threading
import warnings
from dataclasses import dataclass
from typing import Any, Final

import pypdfium2
from PIL import Image, ImageOps, UnidentifiedImageError

from ....config.errors import CallError

LARGEST: Final = 20 * 1024 * 1024  # bytes
MOST_PIXELS: Final = 50_000_000  # a 48-megapixel camera; 150 MB once decoded
LONGEST_SIDE: Final = 30_000
PREVIEW_SIDE: Final = 1400  # long edge in pixels: small print stays legible
THUMBNAIL_SIDE: Final = 160
MOST_PAGES: Final = 200
ORIENTATION: Final = 0x0112  # EXIF tag: how the camera was held

JPEG, PNG, WEBP, PDF = "image/jpeg", "image/png", "image/webp", "application/pdf"
_FORMATS: Final = {JPEG: "JPEG", PNG: "PNG", WEBP: "WEBP"}
_NAMES: Final = {JPEG: "a JPEG", PNG: "a PNG", WEBP: "a WebP", PDF: "a PDF"}
_ONE_AT_A_TIME: Final = threading.Lock()  # PDFium is not thread-safe, and one decoded photograph at a time is enough


class TooLargeError(CallError):
    """Raised when an upload has more bytes than a receipt may have."""


@dataclass(frozen=True, slots=True)
class CleanReceipt:
    """What is stored: `content` of `media_type`, its size in pixels, and a JPEG to look at."""

    content: bytes
    media_type: str
    width: int
    height: int
    preview: bytes


def clean(content: bytes) -> CleanReceipt:
    """Check and clean an uploaded file. Raises `CallError`, or `TooLargeError`, with the field `file`."""
    media_type = check(content)
    with _ONE_AT_A_TIME:
        return _clean_pdf(content) if media_type == PDF else _clean_image(content, media_type)


def check(content: bytes) -> str:
    """What can be told without decoding: size and media type, which is returned. Raises as `clean` does."""
    if len(content) > LARGEST:
        raise TooLargeError("This file is larger than 20 MB; photograph it at a lower resolution.", "file")
    return media_type_of(content)


def media_type_of(content: bytes) -> str:
    """The media type that the first bytes promise, whatever name the file has. Raises `CallError`."""
    if not content:
        raise _wrong("This file is empty.")
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return WEBP
    if content.startswith(b"%PDF-"):
        return PDF
    raise _wrong(_refusal(content))


def thumbnail(preview: bytes) -> bytes:
    """A small JPEG of a preview that `clean` has made."""
    with Image.open(io.BytesIO(preview), formats=("JPEG",)) as image:
        image.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        return _jpeg(image, THUMBNAIL_SIDE, quality=75)


def _refusal(content: bytes) -> str:
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<?xml", b"<svg", b"<!doctype svg")) and b"svg" in content[:4096].lower():
        return "SVG files are not accepted, because they can contain programs; upload a photo or a PDF."
    if start.startswith((b"<!doctype html", b"<html", b"<script", b"<body", b"<head", b"<!--", b"<")):
        return "Web pages are not accepted; save the page as a PDF and upload that."
    if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftypheim", b"ftypheis", b"ftyphevc"):
        return "HEIC photos are not accepted yet; save the photo as a JPEG and upload that."
    return "This is not a JPEG, PNG, WebP or PDF file."


def _clean_image(content: bytes, media_type: str) -> CleanReceipt:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pixels, which are counted below, and about EXIF, which is dropped
            with Image.open(io.BytesIO(content), formats=(_FORMATS[media_type],)) as image:
                _check_pixels(*image.size)  # from the header, before anything is decoded
                return _written_anew(image, media_type)
    except Image.DecompressionBombError as error:
        raise _wrong(_TOO_MANY) from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, MemoryError) as error:
        raise _wrong(_broken(media_type, error)) from error


def _written_anew(image: Image.Image, media_type: str) -> CleanReceipt:
    image.load()
    upright = _upright(image)
    out = io.BytesIO()
    keeps_tables = media_type == JPEG and upright is image and image.format == "JPEG"
    upright.save(out, _FORMATS[media_type], **_options(media_type, upright, keeps_tables=keeps_tables))
    return CleanReceipt(out.getvalue(), media_type, upright.width, upright.height, _jpeg(upright, PREVIEW_SIDE))


def _upright(image: Image.Image) -> Image.Image:
    """The picture as its EXIF says that it was held; the very same object where there is nothing to turn."""
    try:
        turned = image.getexif().get(ORIENTATION, 1) not in (1, 0)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError):  # EXIF that cannot be read turns nothing
        return image
    return ImageOps.exif_transpose(image) if turned else image


def _options(media_type: str, image: Image.Image, *, keeps_tables: bool) -> dict[str, Any]:
    """Everything that Pillow would copy from the old file is named, so that nothing is carried over unseen."""
    profile = image.info.get("icc_profile")
    shared: dict[str, Any] = {"icc_profile": profile, "exif": b""}
    if media_type == JPEG:
        return shared | {"quality": "keep" if keeps_tables else 95, "comment": b""}
    if media_type == WEBP:
        return shared | {"quality": 92, "xmp": b""}
    return shared | {"compress_level": 4, "pnginfo": None}


def _clean_pdf(content: bytes) -> CleanReceipt:
    try:
        with pypdfium2.PdfDocument(content) as document:
            if len(document) > MOST_PAGES:
                raise _wrong(f"This PDF has {len(document)} pages; a receipt may have {MOST_PAGES}.")
            page = document[0]
            width, height = page.get_size()
            scale = min(PREVIEW_SIDE / max(width, height, 1), 4.0)
            drawn = page.render(scale=scale, may_draw_forms=False).to_pil()
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise _wrong("This PDF is protected by a password; save it without one and upload that.") from error
        raise _wrong(_broken(PDF, error)) from error
    except (ValueError, IndexError, MemoryError) as error:
        raise _wrong(_broken(PDF, error)) from error
    return CleanReceipt(content, PDF, drawn.width, drawn.height, _jpeg(drawn, PREVIEW_SIDE))


def _jpeg(image: Image.Image, side: int, quality: int = 80) -> bytes:
    flat = _on_white(_shrunk(image, side))
    out = io.BytesIO()
    flat.save(out, "JPEG", quality=quality, optimize=True, progressive=True, icc_profile=None, exif=b"", comment=b"")
    return out.getvalue()


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """The picture with its longer side at most `side`; no copy of the large one is made on the way."""
    if image.mode in ("P", "PA", "1") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "I;16":
        image = image.point(lambda value: value / 256).convert("L")  # pyright: ignore[reportUnknownMemberType]
    scale = side / max(image.size)
    if scale >= 1:
        return image
    smaller = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(smaller, Image.Resampling.LANCZOS, reducing_gap=2.0)  # pyright: ignore[reportUnknownMemberType]


def _on_white(image: Image.Image) -> Image.Image:
    """In RGB; what is transparent becomes white, as on paper."""
    if image.mode in ("RGBA", "LA"):
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return image.convert("RGB")


def _check_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise _wrong(_TOO_MANY)


_TOO_MANY: Final = "This picture has too many pixels; at most 50 megapixels are accepted."


def _broken(media_type: str, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"This file begins like {_NAMES[media_type]} file but is none."
    return f"This {_NAMES[media_type].split()[1]} file is damaged or incomplete; upload it again."


def _wrong(sentence: str) -> CallError:
    return CallError(sentence, "file")
