"""Pictures of the portal with the demo's data. From the root of the project:

    .venv/bin/python tests/browser/take_pictures.py             writes docs/images/ for the README
    .venv/bin/python tests/browser/take_pictures.py FOLDER      every page there is, wide and narrow, light and dark

It starts a service of its own, with the demo that the project ships, and removes it afterwards.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from live_service import ROOT, LiveService, live_service
from page_list import pages
from PIL import Image
from playwright.sync_api import Page
from sample_data import Workspace, examples, found_workspace
from sqlalchemy import select
from watched_browser import DESKTOP, PHONE, Visitors, Watch, chromium

from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.web.app import SITE, create_app
from strongroom.platform.web.permissions import Role
from strongroom.platform.web.tls import tls_files
from strongroom.provisioning.demo.source import SHIPPED
from strongroom.tenant_schema.tables import expense, expense_receipt

IMAGES = ROOT / "docs" / "images"
LARGEST = 200_000  # bytes of a picture in the README
WORKSPACE = "harbour-studio"
VIEWS = {
    "wide-light": (DESKTOP, "light"),
    "wide-dark": (DESKTOP, "dark"),
    "narrow-light": (PHONE, "light"),
    "narrow-dark": (PHONE, "dark"),
}


def main(arguments: list[str]) -> None:
    """Take the README's two pictures, or all of them into the folder that is named."""
    with _demo() as (service, platform), chromium(tls_files(service.settings).server) as browser:
        with platform.control.connect() as conn:
            workspace = found_workspace(platform, tenants.by_slug(conn, WORKSPACE))
        visitors = Visitors(browser, Watch())
        if arguments:
            take_all(visitors, service, platform, workspace, Path(arguments[0]))
        else:
            take_for_readme(visitors, workspace)
        visitors.close()


def take_for_readme(visitors: Visitors, workspace: Workspace) -> None:
    """Write dashboard.png and expense.png, in light colours and 1,280 pixels wide."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    page = visitors.member(workspace, Role.OWNER)
    _save(page, IMAGES / "dashboard.png")
    page = visitors.member(workspace, Role.CONTRIBUTOR, f"/expenses/{_draft_with_receipt(workspace)}")
    _save(page, IMAGES / "expense.png")


def take_all(visitors: Visitors, service: LiveService, platform: Platform, workspace: Workspace, folder: Path) -> None:
    """Write one picture of each page in each view."""
    folder.mkdir(parents=True, exist_ok=True)
    app = create_app(platform)
    inside, outside = pages(app, examples(workspace), {}), pages(app.extensions[SITE], {}, {})
    for name, (size, scheme) in VIEWS.items():
        device = {"size": size, "color_scheme": scheme, "has_touch": size == PHONE, "is_mobile": size == PHONE}
        page = visitors.member(workspace, Role.OWNER, **device)
        for path in inside:
            _take(page, workspace.url + path, folder / f"{name}-{_file_name(path)}.png")
        spender = visitors.member(workspace, Role.CONTRIBUTOR, **device)
        _take(spender, f"{workspace.url}/expenses/{_draft_with_receipt(workspace)}", folder / f"{name}-form.png")
        stranger = visitors.stranger(service.url(), **device)
        for path in (*outside, "/no-such-page"):
            _take(stranger, service.url() + path, folder / f"{name}-site-{_file_name(path)}.png")
        _take(stranger, f"{workspace.url}/sign-in", folder / f"{name}-sign-in.png")
        visitors.close()


@contextmanager
def _demo() -> Generator[tuple[LiveService, Platform]]:
    folder = Path(tempfile.mkdtemp(prefix="strongroom-pictures-", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL's account must be able to enter it
    home = folder / "home"
    home.mkdir()
    try:
        with (
            live_service(home, "--demo", "--data", str(SHIPPED)) as service,
            open_platform(service.settings) as platform,
        ):
            yield service, platform
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take(page: Page, url: str, file: Path) -> None:
    page.goto(url)
    page.wait_for_timeout(150)  # the charts
    page.screenshot(path=file, full_page=True)


def _save(page: Page, file: Path) -> None:
    """Write the whole page, in a palette small enough for a README."""
    page.wait_for_timeout(500)
    picture = Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB")
    for colours in (256, 128, 64):
        picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size < LARGEST:
            return
    raise AssertionError(f"{file} has {file.stat().st_size:,} bytes")


def _draft_with_receipt(workspace: Workspace) -> object:
    held = select(expense.c.id).join(expense_receipt, expense_receipt.c.expense_id == expense.c.id)
    with workspace.database() as conn:
        return conn.scalar(held.where(expense.c.state == "draft").order_by(expense.c.spent_on.desc()).limit(1))


def _file_name(path: str) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", lambda one: one[0][-4:], path).strip("/").replace("/", "-") or "start"


if __name__ == "__main__":
    main(sys.argv[1:])
