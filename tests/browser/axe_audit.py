"""Asks axe-core what is wrong with a page, in the ways in which people see it."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page
from watched_browser import DESKTOP, PHONE

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
_RUN = """([rules]) => axe.run(document, {
    resultTypes: ["violations"],
    runOnly: rules.length ? { type: "rule", values: rules } : { type: "tag", values: [
        "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] },
}).then((found) => found.violations.map((one) =>
    `${one.id}: ${one.help}: ` + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + " (" +
        [...node.any, ...node.all, ...node.none].map((check) => check.message)[0] + ")").join(" | ")))"""
# The page hears of the device's wish a moment later; until then it shows the colours before.
_IN_COLOURS = "(scheme) => (document.documentElement.dataset.bsTheme ?? scheme) === scheme"
_COLOURS = ["color-contrast"]  # what the other colours can change; everything else is the same document


def audit(page: Page, path: str) -> list[str]:
    """Open `path` and return what axe-core finds there: at both widths, in light and in dark; and sideways scrolling.

    The page's context must bypass the content security policy, because axe comes from outside.
    """
    page.goto(path)
    return audit_shown(page, path)


def audit_shown(page: Page, path: str) -> list[str]:
    """The same for the page that is shown already, such as the answer to a form."""
    page.wait_for_load_state()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = []
    for name, (width, height) in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(_IN_COLOURS, arg=scheme)
            rules: list[Any] = [] if scheme == "light" else _COLOURS
            found += [f"{path}, {name}, {scheme}: {one}" for one in page.evaluate(_RUN, [rules])]
        found += [f"{path}, {name}: {one}" for one in too_wide(page)]
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    page.emulate_media(color_scheme="light")
    return found


def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways."""
    script = """() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return scrollWidth > clientWidth ? [`scrolls sideways: ${scrollWidth} > ${clientWidth} px`] : [];
    }"""
    return page.evaluate(script)
