"""The `platform/` folder and the standard library's `platform` module live beside each other."""

import subprocess
import sys
from pathlib import Path

import strongroom

ROOT = Path(strongroom.__file__).parent


def test_platform_folder_has_no_init_file() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists(), (
        "platform/__init__.py would shadow the standard library's platform module for whatever runs from the "
        "repository root: Flask, pytest and uuid would crash. Its subfolders are ordinary packages; it is not."
    )


def test_import_platform_from_the_root_is_the_standard_library() -> None:
    script = "import platform, uuid; print(platform.python_version()); uuid.uuid4()"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ".".join(map(str, sys.version_info[:3]))


def test_platform_folder_imports_as_part_of_strongroom() -> None:
    from strongroom.platform.tenants import states

    assert Path(states.__file__ or "").parent == ROOT / "platform" / "tenants"


def test_the_suite_loads_the_package_under_one_name_only() -> None:
    by_file: dict[str, set[str]] = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if (
            path
            and Path(path).is_relative_to(ROOT)
            and ".venv" not in Path(path).parts
            and "tests" not in Path(path).parts
        ):
            by_file.setdefault(path, set()).add(name)
    assert by_file
    assert {
        path: names for path, names in by_file.items() if not all(n.partition(".")[0] == "strongroom" for n in names)
    } == {}
