"""`server pooler use` records a pooler that answers and can be trusted, and no other."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from strongroom import cli
from strongroom.platform.servers import queries as servers
from strongroom.provisioning.pooler.certificate import new_certificate
from strongroom.provisioning.postgres.setup import EMBEDDED_NAME

Use = Callable[[str], tuple[int, dict[str, Any]]]


@pytest.fixture
def use(bouncer: Any, capsys: pytest.CaptureFixture[str]) -> Use:
    """Call the command for an address: (exit code, document)."""

    def run(address: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        home = str(bouncer.platform.settings.home)
        code = cli.run(["--home", home, "server", "pooler", "use", EMBEDDED_NAME, address, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def recorded(bouncer: Any) -> tuple[str | None, int | None]:
    with bouncer.platform.control.connect() as conn:
        server = servers.by_name(conn, EMBEDDED_NAME)
    return server.pooler_host, server.pooler_port


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Generator[int]:
    """Answer one caller at a port of 127.0.0.1, as something that is no pooler of ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(8)
                answer(caller)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_pooler_that_answers_is_recorded(bouncer: Any, use: Use) -> None:
    with bouncer.platform.control.begin() as conn:
        servers.set_pooler(conn, EMBEDDED_NAME, None)
    code, document = use(f"127.0.0.1:{bouncer.port}")
    assert (code, document["port"]) == (0, bouncer.port)
    assert recorded(bouncer) == ("127.0.0.1", bouncer.port)


def test_a_mistyped_name_is_refused_and_nothing_recorded(bouncer: Any, use: Use) -> None:
    before = recorded(bouncer)
    code, document = use(f"localhots:{bouncer.port}")
    assert (code, "no pooler with a certificate for localhots" in document["error"]) == (4, True)
    assert recorded(bouncer) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "/nowhere"])
def test_where_nothing_answers_is_refused(bouncer: Any, use: Use, host: str) -> None:
    with socket.socket() as unused:  # bound, and nobody listens
        unused.bind(("127.0.0.1", 0))
        code, document = use(f"{host}:{unused.getsockname()[1]}")
    assert (code, "No pooler answers at" in document["error"]) == (4, True)
    assert recorded(bouncer)[1] == bouncer.port


def test_what_speaks_no_tls_is_refused(bouncer: Any, use: Use) -> None:
    with answering(lambda caller: caller.sendall(b"N")) as port:
        code, document = use(f"127.0.0.1:{port}")
    assert (code, "speaks no TLS" in document["error"]) == (4, True)
    assert recorded(bouncer)[1] == bouncer.port


def test_somebody_elses_certificate_is_refused(bouncer: Any, use: Use, tmp_path: Path) -> None:
    file = tmp_path / "stranger.pem"
    file.write_text("".join(new_certificate("127.0.0.1")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def pretend(caller: socket.socket) -> None:
        caller.sendall(b"S")
        with suppress(OSError):  # the caller leaves when it sees the certificate
            context.wrap_socket(caller, server_side=True).recv(1)

    with answering(pretend) as port:
        code, document = use(f"127.0.0.1:{port}")
    assert (code, "is not the pooler of" in document["error"]) == (4, True)
    assert recorded(bouncer)[1] == bouncer.port
