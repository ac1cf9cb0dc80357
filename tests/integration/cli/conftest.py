import json

import pytest

from strongroom import cli
from strongroom.provisioning.initialise import initialise_home


@pytest.fixture(scope="session")
def initialised(settings, embedded_server):
    """The shared home, as `strongroom init` leaves it."""
    initialise_home(settings)
    return settings


@pytest.fixture
def strongroom(initialised, capsys, monkeypatch):
    """Runs a command line on the shared home: (exit code, standard output, standard error)."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    def run(*arguments):
        capsys.readouterr()
        code = cli.run(["--home", str(initialised.home), *arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def as_json(strongroom):
    """Runs a command line with --json: (exit code, the one document)."""

    def run(*arguments):
        code, out, _ = strongroom(*arguments, "--json")
        return code, json.loads(out)

    return run
