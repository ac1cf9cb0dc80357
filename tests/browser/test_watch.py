"""The watch over the other tests' pages sees what it is there for."""

import pytest
from playwright.sync_api import Browser, Page, expect
from watched_browser import Visitors, Watch

ORIGIN = "https://watched.localhost"
POLICY = {"Content-Security-Policy": "default-src 'self'; script-src 'nonce-good'; img-src *"}


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("<script>document.title = 1</script>", "policy violated: script-src"),
        ("<p style='color: red'>", "policy violated: style-src"),
        ("<script nonce=good>console.error('oh')</script>", "oh"),
        ("<script nonce=good>nothing.there()</script>", "script error"),
        ("<script nonce=good>fetch('/missing')</script>", "404"),
        ("<img src='https://tracker.example/pixel'>", "foreign host: https://tracker.example/pixel"),
    ],
)
def test_what_no_page_may_do_is_noticed(browser: Browser, page: str, problem: str) -> None:
    visitors = Visitors(browser, Watch())
    shown = serve(visitors, page)
    for _ in range(300):
        if any(problem in found for found in visitors.watch.problems):
            break
        shown.wait_for_timeout(100)
    else:
        raise AssertionError(visitors.watch.problems)
    visitors.close()


def test_a_page_that_behaves_passes(browser: Browser) -> None:
    visitors = Visitors(browser, Watch())
    shown = serve(visitors, "<script nonce=good>document.title = 'fine'</script>")
    expect(shown).to_have_title("fine")
    shown.wait_for_timeout(100)
    assert visitors.watch.problems == []
    visitors.close()


def serve(visitors: Visitors, body: str) -> Page:
    """Open a page with this body; every other address answers 404."""
    context = visitors.context(ORIGIN)
    context.route("**/*", lambda route: route.fulfill(status=404, body=""))
    context.route(f"{ORIGIN}/", lambda route: route.fulfill(body=body, content_type="text/html", headers=POLICY))
    page = context.new_page()
    page.goto("/")
    return page
