"""The static files: small enough for a first visit, whole, and each with its licence."""

import re

import pytest

from strongroom.platform.web import assets

WEB = assets.ROOT.parent
FIRST_LOAD = [
    "vendor/tabler/tabler.css",
    "strongroom.css",
    "money.css",
    "theme.js",
    "strongroom.js",
    "money.js",
    "charts.js",
    "factors.css",
    "factors.js",
    "vendor/htmx/htmx.min.js",
    "vendor/chartjs/chart.js",
    "vendor/inter/inter.woff2",
    "vendor/icons.svg",
    "logo.svg",
]


def sent(name: str) -> int:
    asset = assets.read_assets(assets.ROOT)[name]
    return len(asset.gzipped or asset.plain)


def test_a_first_visit_to_the_heaviest_page_loads_less_than_250_kilobytes() -> None:
    assert sum(sent(name) for name in FIRST_LOAD) < 240_000  # the page itself comes on top


def test_the_first_load_names_every_file_that_pages_use() -> None:
    of_one_page = {"api.css", "api.js"}  # the reference of the API
    assert set(assets.read_assets(assets.ROOT)) - of_one_page == set(FIRST_LOAD)


def test_the_version_changes_with_any_file() -> None:
    files = assets.read_assets(assets.ROOT)
    before = assets.version_of(files)
    changed = files | {"logo.svg": assets.Asset(b"<svg/>", None, "image/svg+xml")}
    assert assets.version_of(changed) != before


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = (assets.ROOT / "vendor/icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    pages = [*WEB.rglob("*.html"), *(WEB.parent / "portal").rglob("*.html")]
    named = {name for page in pages for name in re.findall(r'icon\("([a-z0-9-]+)"', page.read_text())}
    assert named
    assert named <= known


@pytest.mark.parametrize("folder", ["tabler", "icons", "htmx", "chartjs", "inter"])
def test_what_is_taken_over_has_its_licence(folder: str) -> None:
    assert len((assets.ROOT / "vendor" / folder / "LICENSE").read_text()) > 400


def test_nothing_points_to_another_host() -> None:
    for name, asset in assets.read_assets(assets.ROOT).items():
        if name.endswith(".css"):
            found = re.findall(rb"url\(\s*['\"]?(?!data:|['\"]?data:)([^)'\"]+)", asset.plain)
            assert all(not url.startswith((b"http", b"//")) for url in found), name
