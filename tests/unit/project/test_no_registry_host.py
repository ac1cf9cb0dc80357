"""No file of the project names a package registry: where packages come from is the installation's own choice."""

import subprocess
from pathlib import Path

import strongroom

ROOT = Path(strongroom.__file__).parent
# Written in two parts, so that this file passes its own check.
HOSTS = [
    "".join(parts).encode()
    for parts in (
        ("py", "pi.org"),
        ("python", "hosted.org"),
        ("registry.npm", "js.org"),
        ("npm", "js.com"),
        ("registry.yarn", "pkg.com"),
        ("un", "pkg.com"),
        ("jsdelivr", ".net"),
        ("cdn", "js.cloudflare.com"),
        ("crates", ".io"),
        ("docker", ".io"),
        ("gh", "cr.io"),
    )
]


def project_files() -> list[Path]:
    """What git tracks or would track; without git (an unpacked archive), the files of the source folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    skipped = {".venv", "var", "var-backups", "build", "dist", "__pycache__"}
    return [path for path in ROOT.rglob("*") if not skipped & set(path.relative_to(ROOT).parts)]


def test_no_file_names_a_package_registry() -> None:
    files = [path for path in project_files() if path.is_file()]
    assert ROOT / "pyproject.toml" in files
    found = [
        f"{path.relative_to(ROOT)}: {host.decode()}" for path in files for host in HOSTS if host in path.read_bytes()
    ]
    assert found == []
