"""What is missing on the machine is said in one sentence, before anything half-done is left."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import strongroom

SCRIPT = Path(strongroom.__file__).parent / "config" / "setup.sh"
TOOLS = ("sh", "cat", "rm", "tail", "grep", "mkdir", "ln", "chmod")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with the few programs that the script calls, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def python3(tools: Path, body: str) -> None:
    (tools / "python3").write_text(f"#!/bin/sh\n{body}\n")
    (tools / "python3").chmod(0o755)


def setup(tools: Path) -> subprocess.CompletedProcess[str]:
    work = tools.parent / "clone"
    work.mkdir(exist_ok=True)
    return subprocess.run(
        [tools / "sh", SCRIPT, "requirements.lock"],
        cwd=work,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_new_enough_python_the_sentence_says_so(tools: Path) -> None:
    python3(tools, "exit 1  # too old: the version check fails")
    result = setup(tools)
    assert result.returncode == 1
    assert result.stderr.startswith("make setup: Python 3.11 or newer is needed")
    assert result.stderr.count("\n") == 1


def test_without_the_venv_module_the_sentence_names_the_package(tools: Path) -> None:
    python3(tools, 'case "$2" in *venv*) exit 1;; esac')
    result = setup(tools)
    assert result.returncode == 1
    assert "install the package python3-venv" in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_network_the_last_line_says_that_the_index_is_not_reachable(tools: Path) -> None:
    inner = '#!/bin/sh\\ncase "$1" in -m) echo NewConnectionError >&2; exit 1;; esac\\n'
    python3(
        tools,
        f"case \"$1\" in -m) mkdir -p .venv/bin; printf '{inner}' >.venv/bin/python; chmod +x .venv/bin/python;; esac",
    )
    result = setup(tools)
    assert result.returncode == 1
    assert "the package index is not reachable" in result.stderr.splitlines()[-1]
    assert not os.path.lexists(tools.parent / "clone" / ".venv" / "root")
