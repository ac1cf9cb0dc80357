"""A file is on the disk before its name is, and its name before the call returns."""

import os
import stat
import threading
from pathlib import Path

import pytest

from strongroom.config.errors import FailedError
from strongroom.platform.keys import durable


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the disk, in order; the real calls are made."""
    seen: list[str] = []
    fsync, link, rename = os.fsync, os.link, Path.rename

    def recorded_fsync(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        fsync(descriptor)

    def recorded_link(source: Path, target: Path) -> None:
        seen.append("name")
        link(source, target)

    def recorded_rename(source: Path, target: Path) -> Path:
        seen.append("name")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "link", recorded_link)
    monkeypatch.setattr(Path, "rename", recorded_rename)
    return seen


def test_content_comes_before_the_name_and_the_name_before_the_return(tmp_path: Path, steps: list[str]) -> None:
    assert durable.write_once(tmp_path / "a", b"one")
    assert steps == ["content", "name", "folder"]


def test_replacing_keeps_the_same_order(tmp_path: Path, steps: list[str]) -> None:
    durable.replace(tmp_path / "a", b"one")
    durable.replace(tmp_path / "a", b"two")
    assert steps == ["content", "name", "folder"] * 2
    assert (tmp_path / "a").read_bytes() == b"two"


def test_the_second_writer_makes_the_firsts_name_durable_before_it_believes_it(
    tmp_path: Path, steps: list[str]
) -> None:
    (tmp_path / "a").write_bytes(b"one")
    assert not durable.write_once(tmp_path / "a", b"two")
    assert steps[-1] == "folder"
    assert (tmp_path / "a").read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_removal_is_durable(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"one")
    assert durable.remove(tmp_path / "a")
    assert steps == ["folder"]
    assert not durable.remove(tmp_path / "a")


def test_new_folders_are_durable_from_the_top(tmp_path: Path, steps: list[str]) -> None:
    durable.make_folder(tmp_path / "a" / "b")
    assert steps == ["folder", "folder"]
    assert oct((tmp_path / "a" / "b").stat().st_mode & 0o777) == "0o700"


def test_of_many_writers_one_wins(tmp_path: Path) -> None:
    won: list[bytes] = []

    def write(content: bytes) -> None:
        if durable.write_once(tmp_path / "a", content):
            won.append(content)

    threads = [threading.Thread(target=write, args=(bytes([number]),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [(tmp_path / "a").read_bytes()]


def test_what_the_disk_refuses_is_one_sentence(tmp_path: Path) -> None:
    for attempt in (durable.write_once, durable.replace):
        with pytest.raises(FailedError, match="cannot be written"):
            attempt(tmp_path / "missing" / "a", b"one")


def test_sweeping_spares_what_is_being_written(tmp_path: Path) -> None:
    old, new, other = tmp_path / ".tmp-a-1", tmp_path / ".tmp-a-2", tmp_path / "a"
    for path in (old, new, other):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    durable.sweep(tmp_path, older_than=60)
    assert set(tmp_path.iterdir()) == {new, other}
