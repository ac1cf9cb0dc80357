"""`make test` finds a browser or says in one sentence what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import strongroom

SCRIPT = Path(strongroom.__file__).parent / "tests" / "browser" / "install_chromium.py"


def run(
    environment: dict[str, str],
) -> subprocess.CompletedProcess[str]:
    code = SCRIPT.read_text()
    return subprocess.run(
        [os.path.realpath(sys.executable), "-I", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_named_browser_that_starts_is_accepted(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho Chromium 1\n")
    browser.chmod(0o755)
    assert run({"STRONGROOM_CHROMIUM": str(browser)}).returncode == 0


def test_a_named_browser_that_does_not_start_is_one_sentence() -> None:
    result = run({"STRONGROOM_CHROMIUM": "/nowhere/chromium"})
    assert result.returncode == 1
    assert result.stderr.startswith("make test: /nowhere/chromium is there but does not start")
    assert "Traceback" not in result.stderr


def test_without_browser_and_root_the_sentence_says_what_to_install(tmp_path: Path) -> None:
    result = run({"PATH": str(tmp_path)})
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "apt-get install chromium" in result.stderr
