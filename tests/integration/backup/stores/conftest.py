"""Stores of every kind on real servers."""

from collections.abc import Generator
from pathlib import Path

import pytest
from store_servers import S3Server, SftpServer


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[SftpServer]:
    folder = tmp_path_factory.mktemp("sftp")
    server = SftpServer(folder / "root", folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_s3_server(tmp_path: Path) -> Generator[S3Server]:
    """A server that the test may stop."""
    server = S3Server(tmp_path)
    server.start()
    yield server
    server.stop()
