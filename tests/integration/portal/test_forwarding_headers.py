"""Who calls: on the ordinary listener the connection says so, and no header does."""

from flask import request

from strongroom.platform.portal.access.tries import PER_ADDRESS


def test_a_caller_that_claims_another_address_each_time_is_limited_all_the_same(portal):
    browser = portal.client()
    tries = int(PER_ADDRESS.split()[0])
    codes = []
    for number in range(tries + 1):
        for header in ("X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP", "CF_CONNECTING_IP"):
            browser.client.environ_base[f"HTTP_{header}"] = f"203.0.113.{number}"
        codes.append(browser.sign_in(f"stranger-{number}@people.example", "wrong").status_code)
    assert codes == [401] * tries + [429]


def test_a_header_does_not_make_plain_http_a_secure_connection(portal):
    seen = []
    portal.app.before_request_funcs.setdefault(None, []).insert(0, lambda: seen.append(request.scheme))
    try:
        portal.app.test_client().get(
            "/sign-in", base_url=f"http://{portal.host('acme')}", headers={"X-Forwarded-Proto": "https"}
        )
    finally:
        portal.app.before_request_funcs[None].pop(0)
    assert seen == ["http"]
