"""Make sure that a Chromium is there for the browser tests; `make test` runs this first.

Looks for an installed Chromium or Chrome; as root on Debian or Ubuntu installs the distribution's package; otherwise
ends with one sentence. `find_chromium` is also what the browser tests start.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Path of the browser to test with: `$STRONGROOM_CHROMIUM` or the first known name in PATH."""
    return os.environ.get("STRONGROOM_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def main() -> None:
    """Find a browser that starts, or install one. Exits with one sentence when neither works."""
    if find_chromium() is None:
        _install()
    browser = find_chromium()
    if browser is None:
        sys.exit("make test: the package “chromium” was installed but no chromium is in PATH; set STRONGROOM_CHROMIUM.")
    _check_it_starts(browser)


def _install() -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(
            "make test: the browser tests need Chromium; install it (Debian, Ubuntu: sudo apt-get install chromium) "
            "or set STRONGROOM_CHROMIUM to a Chromium or Chrome program."
        )
    print("Installing Debian's chromium for the browser tests …", file=sys.stderr)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(["apt-get", *step], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            sys.exit(f"make test: Chromium for the browser tests cannot be installed with apt-get: {reason}")


def _check_it_starts(browser: str) -> None:
    try:
        subprocess.run([browser, "--version"], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"make test: {browser} is there but does not start ({error}).")


if __name__ == "__main__":
    main()
