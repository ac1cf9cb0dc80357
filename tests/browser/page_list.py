"""Every page there is, read from the application's own routes, so that none is forgotten."""

from collections.abc import Iterator, Mapping, Sequence

from flask import Flask
from werkzeug.routing import Rule

# GET routes that answer with something else than a page.
NO_PAGES = {
    "assets.send": "static files",
    "outbox.html": "what stands in the frame of a letter",
    "members.review.download": "a file",
    "recovery.change_password": "the way to another page",
    "receipts.preview": "a picture",
    "receipts.thumbnail": "a picture",
    "receipts.original": "a file",
    "signup.check_address": "a part of the sign-up page",
    "signup.progress": "a part of the page of a new workspace",
}


def pages(app: Flask, values: Mapping[str, Sequence[object]], variants: Mapping[str, Sequence[str]]) -> list[str]:
    """Paths of all pages of `app`: each rule with each of the `values` of its argument, and its `variants` (queries).

    Raises `AssertionError` for a rule whose argument has no value: a new page wants an example.
    """
    return list(dict.fromkeys(path for rule in _page_rules(app) for path in _paths(app, rule, values, variants)))


def _page_rules(app: Flask) -> Iterator[Rule]:
    found = {rule.endpoint for rule in app.url_map.iter_rules()}
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and rule.endpoint not in NO_PAGES:
            yield rule
    assert found, "the application has no routes"


def _paths(
    app: Flask, rule: Rule, values: Mapping[str, Sequence[object]], variants: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    missing = rule.arguments - values.keys()
    assert not missing, f"{rule.rule}: say in the test which {', '.join(missing)} to visit"
    assert len(rule.arguments) <= 1, f"{rule.rule}: this list makes pages of one argument"
    adapter = app.url_map.bind("localhost")
    examples = [{name: value} for name in rule.arguments for value in values[name]] or [{}]
    for example in examples:
        path = adapter.build(rule.endpoint, example)
        yield path
        yield from (path + query for query in variants.get(rule.endpoint, ()))
