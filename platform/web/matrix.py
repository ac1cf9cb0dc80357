"""Who may use which route, read from the applications' own maps of addresses: the document and the tests share it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flask import Flask

from .guard import STATIC, need_of
from .permissions import ALLOWED, Permission, Role, Scope
from .stepup import FRESH

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SCOPE_WORDS = {Scope.NONE: "–", Scope.OWN: "own", Scope.ASSIGNED: "own and assigned", Scope.ALL: "all"}
HEAD = """\
# Who may do what

Made from the code, and compared with it by `tests/integration/portal/test_permissions_document.py`; to renew it, run
that test with `RENEW=1` in the environment. The rules stand in `platform/web/permissions.py`; a route that names no
permission keeps the application from starting.

“own” reaches what the member entered, “own and assigned” also what they are the approver of. An id beyond that reach is
answered as if there were nothing, with 404. Nobody approves their own expenses, unless the workspace has one member
and its setting allows it. An Admin never changes an Owner and makes nobody Admin or Owner.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One route with one method. `need` of None: it answers without sign-in. `fresh`: it wants a recent proof."""

    path: str
    method: str
    endpoint: str
    need: Permission | None
    fresh: bool


def lines(app: Flask) -> list[Line]:
    """All routes of `app`, by path. Raises `LookupError` for one that declares nothing."""
    found = (
        Line(rule.rule, method, rule.endpoint, need_of(app, rule.endpoint), _is_fresh(app, rule.endpoint))
        for rule in app.url_map.iter_rules()
        for method in METHODS
        if method in (rule.methods or ()) and rule.endpoint != STATIC
    )
    return sorted(found, key=lambda line: (line.path, METHODS.index(line.method)))


def document(portal: Flask, api: Flask, site: Flask) -> str:
    """The document as Markdown: permissions by role, then every route by what it needs."""
    parts = [HEAD, "## Permissions\n", *_permissions()]
    for title, app in (("Pages of a workspace", portal), ("API", api), ("Public site", site)):
        parts += [f"\n## {title}\n", *_routes(lines(app))]
    return "\n".join(parts) + "\n"


def _permissions() -> Iterator[str]:
    yield _row("permission", *(role.label for role in Role))
    yield _row(*["---"] * (len(Role) + 1))
    for permission, by_role in ALLOWED.items():
        yield _row(permission.value, *(SCOPE_WORDS[by_role[role]] for role in Role))


def _routes(found: Iterable[Line]) -> Iterator[str]:
    yield _row("route", "", "needs", "recent proof")
    yield _row(*["---"] * 4)
    for line in found:
        need = line.need.value if line.need else "no sign-in"
        yield _row(f"`{line.path}`", line.method, need, "yes" if line.fresh else "")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _is_fresh(app: Flask, endpoint: str) -> bool:
    return bool(getattr(app.view_functions[endpoint], FRESH, False))
