"""The public programs that the page of the worst day calls; where one is not installed, a stand-in."""

import shutil
import sys
from pathlib import Path

import pytest

# What the programs do with the options of that page, on the libraries that this project has anyway.
STAND_INS = {
    "age": """
import argparse, pyrage
parser = argparse.ArgumentParser()
parser.add_argument("--decrypt", action="store_true", required=True)
for name in ("--identity", "--output"):
    parser.add_argument(name, required=True)
parser.add_argument("file")
said = parser.parse_args()
lines = [line.strip() for line in open(said.identity) if line.strip() and not line.startswith("#")]
identities = [pyrage.x25519.Identity.from_str(line) for line in lines]
with open(said.file, "rb") as source, open(said.output, "wb") as target:
    pyrage.decrypt_io(source, target, identities)
""",
    "zstd": """
import argparse, zstandard
parser = argparse.ArgumentParser()
parser.add_argument("--decompress", action="store_true", required=True)
parser.add_argument("--force", action="store_true")
parser.add_argument("file")
parser.add_argument("-o", dest="output", required=True)
said = parser.parse_args()
with open(said.file, "rb") as source, open(said.output, "xb" if not said.force else "wb") as target:
    content = source.read()
    start = 8 + int.from_bytes(content[4:8], "little") if content[:4] == bytes.fromhex("502a4d18") else 0
    target.write(zstandard.ZstdDecompressor().stream_reader(content[start:]).read())
""",
}


def write_stand_ins(folder: Path, names: list[str]) -> Path:
    """Write programs into a folder for PATH."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"#!{sys.executable}\n{STAND_INS[name]}", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def public_tools(tmp_path: Path) -> Path:
    """A folder with whatever of `age` and `zstd` this machine lacks."""
    return write_stand_ins(tmp_path / "programs", [name for name in STAND_INS if shutil.which(name) is None])


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """A folder with stand-ins for both."""
    return write_stand_ins(tmp_path / "stand-ins", list(STAND_INS))
