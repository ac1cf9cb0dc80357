"""The documents name commands, settings and files that exist."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

import strongroom
from strongroom.cli import strongroom as command_line
from strongroom.config.settings import Settings

ROOT = Path(strongroom.__file__).parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CALL = re.compile(r"(?<![\w/.-])(?:\.venv/bin/)?strongroom (?:--home \S+ )?((?:[a-z][a-z-]* ?)+)")


def code_of(document: Path) -> Iterator[str]:
    """Each inline piece of code and each line of the fenced blocks."""
    text = document.read_text(encoding="utf-8")
    for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def is_command(words: list[str]) -> bool:
    """Whether `words` begins with a command that can be called; a group alone is none, except as a name."""
    command: click.Command = command_line
    for word in words:
        if not isinstance(command, click.Group):
            return True
        found = command.commands.get(word)
        if found is None:
            return False
        command = found
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    calls = [match[1].split() for code in code_of(document) for match in CALL.finditer(code)]
    assert [" ".join(words) for words in calls if not is_command(words)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_in_documents_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_the_operations_guide_explains_every_setting() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [field.name for field in fields(Settings) if f"`{field.name}`" not in text and field.name != "home"] == []


def test_an_unknown_command_is_noticed() -> None:
    assert is_command(["tenant", "list"])
    assert not is_command(["tenant", "explode"])
    assert not is_command(["fly"])
