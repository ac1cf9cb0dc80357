"""Static files: one version over all of them in the path, so that browsers may keep them for a year.

The version stands before the file's path, so relative addresses inside a style sheet carry it on. Files are read and
compressed once, when the application starts: they are few, and no build step is needed.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, request

from .permissions import public

ROOT = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"
SERVED = {".css", ".js", ".svg", ".woff2", ".png", ".ico", ".webmanifest"}
COMPRESSED = {".css", ".js", ".svg", ".webmanifest"}
TYPES = {".js": "text/javascript", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file as it is sent."""

    plain: bytes
    gzipped: bytes | None
    media_type: str


def read_assets(root: Path) -> dict[str, Asset]:
    """All servable files below `root`, by their path relative to it."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and p.suffix in SERVED)
    return {p.relative_to(root).as_posix(): _read(p) for p in files}


def version_of(assets: dict[str, Asset]) -> str:
    """Twelve hexadecimal digits that change when any file does."""
    digest = hashlib.sha256()
    for name, asset in assets.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(asset.plain).digest())
    return digest.hexdigest()[:12]


def install(app: Flask) -> None:
    """Serve the files of `static/` at `/static/<version>/…` and give templates `asset(path)`."""
    assets = read_assets(ROOT)
    version = version_of(assets)
    addresses = {name: f"/static/{version}/{name}" for name in assets}  # a page asks for twenty of them
    files = Blueprint("assets", __name__)

    @files.get("/static/<asked>/<path:name>")
    @public
    def send(asked: str, name: str) -> Response:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        if name not in assets:
            abort(404)
        return _respond(assets[name], fresh=asked == version)

    def asset(name: str) -> str:
        if name not in addresses:
            raise LookupError(f"There is no static file {name}.")
        return addresses[name]

    app.register_blueprint(files)
    app.jinja_env.globals["asset"] = asset  # pyright: ignore[reportArgumentType]  # Jinja's own types are narrower


def _read(path: Path) -> Asset:
    plain = path.read_bytes()
    gzipped = gzip.compress(plain, 9, mtime=0) if path.suffix in COMPRESSED else None
    media_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(plain, gzipped, media_type)


def _respond(asset: Asset, *, fresh: bool) -> Response:
    """An old version, asked for by a page that is still open, gets today's file, but must not be kept."""
    zipped = asset.gzipped is not None and "gzip" in request.accept_encodings
    response = Response(asset.gzipped if zipped else asset.plain, mimetype=asset.media_type)
    response.headers["Cache-Control"] = FOREVER if fresh else "no-cache"
    if asset.gzipped is not None:
        response.headers["Vary"] = "Accept-Encoding"
    if zipped:
        response.headers["Content-Encoding"] = "gzip"
    return response
