"""Chromium in which nothing goes wrong unnoticed: console, script errors, the page's policy, and foreign hosts."""

import base64
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from install_chromium import find_chromium
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebError, sync_playwright
from sample_data import PASSWORD, Workspace

from strongroom.platform.web.permissions import Role

COOKIE = "__Host-session"
DESKTOP, PHONE = (1280, 900), (390, 844)
_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  const { violatedDirective, blockedURI, sourceFile, lineNumber } = event;
  console.error(`policy violated: ${violatedDirective} by ${blockedURI} in ${sourceFile}:${lineNumber}`);
});
"""
# How Chromium, and htmx, say that an answer had a status of 400 or more.
_STATUS = re.compile(r"Failed to load resource: .* status of (\d{3})|Response Status Error Code (\d{3}) from")
_FLAGS = (
    "--no-sandbox",  # the tests run as root, too
    "--disable-gpu",
    "--disable-background-networking",
    "--short-reporting-delay",  # what a policy has blocked is reported after a second instead of a minute
    "--force-color-profile=srgb",
)


@dataclass
class Watch:
    """What happened in a test's pages that no page of ours may do. `expect` names statuses that the test provokes."""

    problems: list[str] = field(default_factory=list[str])
    expected: set[int] = field(default_factory=set[int])
    words: list[re.Pattern[str]] = field(default_factory=list[re.Pattern[str]])

    def expect(self, *statuses: int) -> None:
        """From now on answers with these statuses are no problem."""
        self.expected.update(statuses)

    def expect_any(self, words: re.Pattern[str]) -> None:
        """From now on messages with these words are no problem."""
        self.words.append(words)

    def over(self, context: BrowserContext) -> None:
        """Watch every page of `context`."""
        context.add_init_script(_REPORT_VIOLATIONS)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning", "assert"):
            return
        status = _STATUS.search(message.text)
        if status and int(status[1] or status[2]) in self.expected:
            return
        if any(words.search(message.text) for words in self.words):
            return
        self.problems.append(f"console {message.type} at {message.location.get('url')}: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self.problems.append(f"script error: {error.error}")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        host = address.hostname or ""
        if address.scheme not in ("data", "blob") and host != "localhost" and not host.endswith(".localhost"):
            self.problems.append(f"request to a foreign host: {request.url}")


@dataclass
class Visitors:
    """Opens browsers for people: each context is a person's own, empty browser."""

    browser: Browser
    watch: Watch
    contexts: list[BrowserContext] = field(default_factory=list[BrowserContext])

    def stranger(self, url: str, *, size: tuple[int, int] = DESKTOP, **options: Any) -> Page:
        """A page in a new browser, at `url`; links may be given as paths from then on."""
        page = self.context(url, size=size, **options).new_page()
        page.goto(url)
        return page

    def member(self, workspace: Workspace, role: Role, path: str = "/", **options: Any) -> Page:
        """A page at `path` in the new browser of a member who has signed in before."""
        context = self.context(workspace.url, **options)
        carry_session(context, workspace.url, workspace.begin_session(role))
        page = context.new_page()
        page.goto(path)
        return page

    def context(self, base_url: str, *, size: tuple[int, int] = DESKTOP, **options: Any) -> BrowserContext:
        """A new, empty, watched browser."""
        wanted: dict[str, Any] = {
            "base_url": base_url,
            "viewport": {"width": size[0], "height": size[1]},
            "locale": "en-GB",
            "timezone_id": "Europe/London",
            "reduced_motion": "reduce",
            "ignore_https_errors": True,  # the local authority is unknown to Chromium
        }
        context = self.browser.new_context(**(wanted | options))
        context.set_default_timeout(60_000)
        self.watch.over(context)
        self.contexts.append(context)
        return context

    def close(self) -> None:
        """Close all browsers of this test."""
        for context in self.contexts:
            context.close()
        self.contexts.clear()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the sign-in form that `page` shows, and send it."""
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def carry_session(context: BrowserContext, url: str, token: str) -> None:
    """Put a session's cookie into a browser, as signing in at `url` would."""
    context.add_cookies([{"name": COOKIE, "value": token, "url": url, "secure": True, "httpOnly": True}])


@contextmanager
def chromium(certificate: Path) -> Generator[Browser]:
    """A running Chromium that accepts the server certificate in `certificate`, so that it caches as for a customer."""
    path = find_chromium()
    assert path, "no Chromium here; `make test` installs it or says what to do"
    flags = [*_FLAGS, f"--ignore-certificate-errors-spki-list={_public_key_hash(certificate)}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


def _public_key_hash(certificate: Path) -> str:
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(encoded)
    return base64.b64encode(digest.finalize()).decode()
