"""The built wheel holds every file of the source folders, and nothing else.

setuptools leaves out unlisted packages and data files without a word; this test is what speaks up.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import strongroom

ROOT = Path(strongroom.__file__).parent
FOLDERS = ("config", "tenant_schema", "platform", "provisioning", "backup")
NOT_SHIPPED = {"config/setup.sh"}  # makes the environment of a clone; a wheel is installed into one that exists


def source_files() -> set[str]:
    found = {path.name for path in ROOT.glob("*.py")}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(path.relative_to(ROOT).as_posix())
    return found - NOT_SHIPPED


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy: setuptools writes build/ beside what it builds."""
    copy = tmp_path_factory.mktemp("wheel") / "source"
    copy.mkdir()
    for name in (*FOLDERS, "tests"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "var*"))
    for path in [*ROOT.glob("*.py"), *ROOT.glob("*.md"), ROOT / "pyproject.toml", ROOT / "LICENSE"]:
        shutil.copy(path, copy)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    # The bytecode folders that compiling would leave are no part of the comparison.
    built = subprocess.run(
        command, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return zipfile.ZipFile(next((copy / "dist").glob("*.whl")))


def test_every_source_file_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    shipped = {name.removeprefix("strongroom/") for name in wheel.namelist() if name.startswith("strongroom/")}
    missing = sorted(source_files() - shipped)
    assert missing == [], (
        "these files would be missing after an installation; list their package under [tool.setuptools] packages, or "
        f"their kind under package-data, in pyproject.toml: {missing}"
    )


def test_nothing_else_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    expected = {f"strongroom/{name}" for name in source_files()}
    others = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert sorted(others - expected) == []


def test_the_wheel_has_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    names = {name.partition(".dist-info/")[2]: name for name in wheel.namelist()}
    assert b"strongroom = strongroom.cli:main" in wheel.read(names["entry_points.txt"])
    assert b"Apache License" in wheel.read(names["licenses/LICENSE"])
