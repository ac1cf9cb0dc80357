"""docs/permissions.md says what the code does: every permission by role, every route by what it needs."""

import os
from pathlib import Path

from visitors import Portal

from strongroom.platform.web import guard, matrix
from strongroom.platform.web.app import API, SITE
from strongroom.platform.web.permissions import ALLOWED, Permission, Role

DOCUMENT = Path(__file__).parents[3] / "docs" / "permissions.md"


def test_the_document_is_the_one_that_the_code_makes(portal: Portal) -> None:
    made = matrix.document(portal.app, portal.app.extensions[API], portal.app.extensions[SITE])
    if os.environ.get("RENEW"):
        DOCUMENT.write_text(made, encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == made, (
        "Renew it: RENEW=1 .venv/bin/pytest -n0 tests/integration/portal/test_permissions_document.py"
    )


def test_no_route_and_no_permission_is_left_out(portal: Portal) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for app in (portal.app, portal.app.extensions[API], portal.app.extensions[SITE]):
        for rule in app.url_map.iter_rules():
            assert rule.endpoint == guard.STATIC or f"| `{rule.rule}` |" in text, rule.rule
    for permission in Permission:
        assert f"| {permission.value} |" in text
        assert set(ALLOWED[permission]) == set(Role)
