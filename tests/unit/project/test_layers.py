"""Imports point one way: config ← tenant_schema ← platform ← provisioning ← backup ← cli."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import strongroom

ROOT = Path(strongroom.__file__).parent
LAYERS = ("config", "tenant_schema", "platform", "provisioning", "backup")
TOP = len(LAYERS)  # cli.py and the other modules of the root compose all layers
WHY = (
    "A lower layer that imports a higher one makes a cycle sooner or later, and brings rights along that it must not "
    "have: the web process would hold what creates and drops databases. Put the shared piece into the lower layer, or "
    "let the higher one pass it in."
)
WHY_PORTAL = (
    "The portal and the API answer customers and never create, restore or drop a database themselves: they put a job "
    "on the queue (platform/jobs) and the worker, which holds those rights, does it."
)


def imported_modules(source: str, module: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and dotted path (below `strongroom`) of every import of our own in `source`.

    `module` is the path of the importing module; a package's `__init__.py` keeps that name as its last part.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=target, level=0) if target and target.split(".")[0] == "strongroom":
                yield from ((node.lineno, (*target.split(".")[1:], name.name)) for name in node.names)
            case ast.ImportFrom(module=target, level=level) if level > 0:
                base = module[:-level]
                named = tuple(target.split(".")) if target else ()
                yield from ((node.lineno, (*base, *named, name.name)) for name in node.names)
            case ast.Import():
                for name in node.names:
                    if name.name.split(".")[0] == "strongroom":
                        yield node.lineno, tuple(name.name.split(".")[1:])
            case ast.Call(args=[ast.Constant(value=str(target)), *_]) if target.startswith("strongroom."):
                if "import" in ast.unparse(node.func):
                    yield node.lineno, tuple(target.split(".")[1:])
            case _:
                pass


def layer(path: tuple[str, ...]) -> int:
    return LAYERS.index(path[0]) if path and path[0] in LAYERS else TOP


def violations(source: str, module: tuple[str, ...]) -> list[str]:
    shown = "/".join(module) + ".py"
    found: list[str] = []
    for line, target in imported_modules(source, module):
        if layer(target) > layer(module):
            customer_facing = module[:2] in {("platform", "portal"), ("platform", "api")}
            found.append(f"{shown}:{line} imports {'.'.join(target)}. {WHY_PORTAL if customer_facing else WHY}")
    return found


def absolute_imports(source: str, module: tuple[str, ...]) -> list[str]:
    return [
        f"{'/'.join(module)}.py:{node.lineno}"
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "strongroom")
        or (isinstance(node, ast.Import) and any(n.name.split(".")[0] == "strongroom" for n in node.names))
    ]


def sources() -> Iterator[tuple[str, tuple[str, ...]]]:
    files = [*ROOT.glob("*.py"), *(file for name in LAYERS for file in (ROOT / name).rglob("*.py"))]
    for file in sorted(files):
        yield file.read_text(encoding="utf-8"), file.relative_to(ROOT).with_suffix("").parts


def test_imports_point_one_way() -> None:
    found = [message for source, module in sources() for message in violations(source, module)]
    assert found == [], "\n".join(found)


def test_source_files_import_each_other_relatively() -> None:
    found = [place for source, module in sources() for place in absolute_imports(source, module)]
    assert found == [], f"write these as relative imports, which editors, pyright and the layer test follow: {found}"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("config/settings", "from ..tenant_schema import tables"),
        ("config/settings", "from .. import backup"),
        ("tenant_schema/tables", "from ..platform.keys.store import KeyStore"),
        ("platform/registry/pool", "from ...provisioning import create"),
        ("platform/portal/signup/routes", "def f():\n    from ....provisioning.create import request_tenant"),
        ("platform/portal/signup/__init__", "from ....backup import run"),
        ("platform/web/app", "import strongroom.backup.run"),
        ("platform/web/app", "import importlib\nimportlib.import_module('strongroom.backup.run')"),
        ("provisioning/steps", "from ..backup.restore import restore"),
        ("backup/run", "from ..cli import main"),
    ],
)
def test_an_import_upwards_is_found(module: str, source: str) -> None:
    assert len(violations(source, tuple(module.split("/")))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("backup/run", "from ..provisioning.create import provision\nfrom .store import Store"),
        ("platform/web/app", "from ..portal import access\nfrom ...config.errors import CallError\nimport platform"),
        ("platform/keys/__init__", "from .store import KeyStore"),
        ("cli", "from .backup import run"),
        ("__init__", "from .cli import main"),
    ],
)
def test_an_import_downwards_or_sideways_is_allowed(module: str, source: str) -> None:
    assert violations(source, tuple(module.split("/"))) == []
