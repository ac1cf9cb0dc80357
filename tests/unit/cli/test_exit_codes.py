import errno
import subprocess
import sys

import click
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from strongroom import cli
from strongroom.config import errors
from strongroom.platform.console.commands import Command, Group


@pytest.fixture
def failing(monkeypatch):
    """Runs a command that raises what it is given; returns the exit code."""

    def run(error, *arguments):
        @click.command(cls=Command, example="strongroom fail")
        def fail():
            raise error

        monkeypatch.setitem(cli.strongroom.commands, "fail", fail)
        return cli.run(["fail", *arguments])

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.CallError("wrong"), 2),
        (errors.NotFoundError("none"), 3),
        (errors.KeyMissingError("none"), 3),
        (errors.RefusedError("not now"), 4),
        (errors.StaleVersionError("not now"), 4),
        (errors.ForbiddenError("not you"), 4),
        (errors.VerificationError("open"), 5),
        (errors.FailedError("disk"), 1),
        (errors.UnavailableError("down"), 1),
        (OSError(errno.ENOSPC, "No space left on device", "/var/x"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "/var/x"), 1),
        (psycopg.OperationalError("server closed the connection"), 1),
        (OperationalError("select", {}, psycopg.errors.DiskFull("could not extend file")), 1),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), 2),
        (ValueError("a bug"), 70),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), 70),
    ],
)
def test_each_error_has_its_exit_code_and_one_sentence(failing, capsys, error, code):
    assert failing(error) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("strongroom: ")
    assert "Traceback" not in err


def test_only_a_bug_shows_a_traceback_and_only_with_v(failing, capsys):
    assert failing(ValueError("a bug"), "-v") == 70
    assert "Traceback" in capsys.readouterr().err
    assert failing(errors.FailedError("disk"), "-v") == 1
    assert "Traceback" not in capsys.readouterr().err


def test_the_message_of_a_bug_may_hold_anything_so_it_is_not_shown(failing, capsys):
    failing(ValueError("password hunter2"))
    assert "hunter2" not in capsys.readouterr().err


def test_ctrl_c_is_no_bug(failing, capsys):
    assert failing(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.strip() == "strongroom: interrupted; the command can be repeated."


def test_wrong_options_are_the_callers_mistake(capsys):
    assert cli.run(["tenant", "show"]) == 2
    assert cli.run(["tenant", "list", "--no-such-option"]) == 2
    assert cli.run(["no-such-command"]) == 2
    assert "strongroom --help" in capsys.readouterr().err


def commands(group, path=()):
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"),
    list(commands(cli.strongroom)),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_command_explains_itself_with_an_example_of_its_own(path, command, capsys):
    assert cli.run([*path, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert command.help
    assert " ".join(command.example.split()) in shown
    assert all(line.startswith("strongroom ") and " ".join(path) in line for line in command.example.splitlines())


def test_the_contract_of_the_first_release_is_complete():
    found = {" ".join(path) for path, _ in commands(cli.strongroom)}
    assert found >= {
        "up", "init", "web", "worker", "status", "server list", "server check", "tenant create", "tenant list",
        "tenant show", "tenant suspend", "tenant resume", "tenant load", "backup run", "backup list", "backup show",
        "backup verify", "backup restore", "isolation verify",
    }  # fmt: skip


@pytest.mark.parametrize("closed", ["0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_bug(closed):
    command = f'exec "$0" -P -m strongroom --version {closed}'
    assert subprocess.run(["/bin/sh", "-c", command, sys.executable], check=False).returncode == 0
