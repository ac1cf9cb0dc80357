"""Reports about the content security policy: counted, said in words of ours, and never more than that."""

import json
import logging
from typing import Any

import pytest

from strongroom.platform.metrics.collector import ControlDatabaseCollector
from strongroom.platform.web import web_events

Portal = Any  # the fixture's class, in conftest.py
CANARY = "Canary-7f3a"
OLD = "application/csp-report"
NEW = "application/reports+json"


def report(portal: Portal, slug: str = "acme", **more: str) -> dict[str, str]:
    return {
        "document-uri": f"https://{portal.host(slug)}/invitation/{CANARY}?email={CANARY}",
        "effective-directive": "script-src-elem",
        "blocked-uri": f"https://{CANARY}.example/x.js",
        "script-sample": CANARY,
        **more,
    }


def send(portal: Portal, content: Any, media_type: str = OLD, slug: str | None = "acme") -> Any:
    browser = portal.client(slug)
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return browser.client.post("/csp-report", data=data, base_url=browser.base, content_type=media_type)


def counted(portal: Portal) -> int:
    with portal.platform.control.connect() as conn:
        return web_events.totals(conn).get("csp_violation", 0)


def test_each_page_says_where_to_report(portal: Portal) -> None:
    for slug, path in (("acme", "/sign-in"), ("acme", "/nothing"), (None, "/")):
        headers = portal.client(slug).get(path).headers
        assert headers["Reporting-Endpoints"] == 'csp="/csp-report"'
        assert headers["Content-Security-Policy"].endswith("report-uri /csp-report; report-to csp")


def test_a_report_is_counted_and_logged_in_words_of_ours(portal: Portal, caplog: pytest.LogCaptureFixture) -> None:
    before = counted(portal)
    with caplog.at_level(logging.DEBUG):
        assert send(portal, {"csp-report": report(portal)}).status_code == 204
    assert counted(portal) == before + 1
    assert "csp violation: script-src-elem blocked another host on access.invitation" in caplog.text
    assert CANARY not in caplog.text


def test_the_newer_format_is_read_too(portal: Portal, caplog: pytest.LogCaptureFixture) -> None:
    body = {
        "documentURL": f"https://{portal.host('acme')}/sign-in",
        "effectiveDirective": "img-src",
        "blockedURL": "inline",
    }
    before = counted(portal)
    assert send(portal, [{"type": "csp-violation", "body": body}] * 3, NEW).status_code == 204
    assert counted(portal) == before + 3
    assert "csp violation: img-src blocked inline on access.sign_in" in caplog.text


@pytest.mark.parametrize("slug", ["acme", None])
def test_a_report_without_token_is_taken_on_every_host_of_ours(portal: Portal, slug: str | None) -> None:
    assert send(portal, {"csp-report": report(portal)}, slug=slug).status_code == 204


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 5000,
        b"null",
        b'"text"',
        b"[1, [], {}]",
        b'{"csp-report": 7}',
        b'[{"body": null}]',
        b"\xff\xfe",
    ],
)
def test_nonsense_is_counted_as_nothing(portal: Portal, content: bytes) -> None:
    before = counted(portal)
    assert send(portal, content).status_code == 204
    assert counted(portal) == before


@pytest.mark.parametrize(
    "field", ["effective-directive", "blocked-uri", "document-uri", "violated-directive", "effectiveDirective"]
)
@pytest.mark.parametrize("value", [CANARY, f"https://[{CANARY}", f"script-src {CANARY}\nforged: line", 5, None, ["x"]])
def test_no_word_of_a_report_reaches_the_log(
    portal: Portal, caplog: pytest.LogCaptureFixture, field: str, value: Any
) -> None:
    assert send(portal, {"csp-report": {field: value}}).status_code == 204
    assert CANARY not in caplog.text
    assert "forged" not in caplog.text


def test_a_report_is_small(portal: Portal) -> None:
    assert send(portal, b"x" * 17_000).status_code == 413


def test_so_many_a_minute_and_no_more(portal: Portal) -> None:
    browser = portal.client()
    content = json.dumps({"csp-report": report(portal)}).encode()
    codes = [
        browser.client.post("/csp-report", data=content, base_url=browser.base, content_type=OLD).status_code
        for _ in range(11)
    ]
    assert codes == [204] * 10 + [429]


def test_one_request_counts_a_few_reports_only(portal: Portal) -> None:
    before = counted(portal)
    send(portal, [{"body": {"effectiveDirective": "img-src"}}] * 50, NEW)
    assert counted(portal) == before + 5


def test_the_metrics_have_the_number(portal: Portal) -> None:
    send(portal, {"csp-report": report(portal)})
    collector = ControlDatabaseCollector(portal.platform.control, portal.platform.settings)
    samples = [sample for metric in collector.collect() for sample in metric.samples]
    (found,) = [
        one for one in samples if one.name == "strongroom_web_events_total" and one.labels == {"event": "csp_violation"}
    ]
    assert found.value == counted(portal)


def test_an_unknown_host_takes_no_report(portal: Portal) -> None:
    browser = portal.client()
    answer = browser.client.post("/csp-report", data=b"{}", base_url="https://nobody-there.localhost", content_type=OLD)
    assert answer.status_code == 404
