"""HOST:PORT of a pooler is read once, by the same rules everywhere."""

import click
import pytest

from strongroom import cli
from strongroom.provisioning.pooler_commands import host_and_port, pooler

CONTEXT, OPTION = click.Context(pooler), click.Option(["--address"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("db1.example:6432", ("db1.example", 6432)),
        ("pgbouncer_1:6432", ("pgbouncer_1", 6432)),
        ("10.0.0.7:6432", ("10.0.0.7", 6432)),
        ("[2001:db8::7]:6432", ("2001:db8::7", 6432)),
        ("/run/pgbouncer:6432", ("/run/pgbouncer", 6432)),
    ],
)
def test_names_addresses_and_folders_are_read(text: str, address: tuple[str, int]) -> None:
    assert host_and_port(CONTEXT, OPTION, text) == address


@pytest.mark.parametrize(
    "text",
    [
        "db1.example",
        "db1.example:0",
        "db1.example:65536",
        ":6432",
        "bücher.example:6432",
        "two words:6432",
        "a,b:6432",
        "a..b:6432",
        "-a.example:6432",
        f"{'a' * 64}.example:6432",
        f"{'a.' * 130}example:6432",
        "db1.example\n:6432",
        "/run/a\nauth_type = any:6432",
        "/run/a,/run/b:6432",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="give HOST:PORT"):
        host_and_port(CONTEXT, OPTION, text)


@pytest.mark.parametrize(
    "call",
    [
        ["server", "pooler", "config", "main", "--output", "d", "--address"],
        ["server", "pooler", "run", "main", "--output", "d", "--address"],
        ["server", "pooler", "use", "main"],
        ["server", "add", "db2", "--dsn-file", "f", "--region", "uk", "--pooler"],
    ],
)
def test_every_command_says_so_with_the_code_of_a_wrong_call(
    call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*call, "bücher.example:6432"]) == 2
    assert "give HOST:PORT" in capsys.readouterr().err
