"""A worker that loses its database fills no log with tracebacks."""

import io
import logging

import psycopg
import pytest
from procrastinate.exceptions import ConnectorException

from strongroom.platform.jobs.outages import log_outages_briefly

LOST = [ConnectorException(), psycopg.OperationalError("the database system is shutting down")]


def logged(name: str, error: Exception) -> str:
    log_outages_briefly()
    handler = logging.StreamHandler(stream := io.StringIO())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        try:
            raise error
        except type(error):
            logging.getLogger(name).exception("a side task failed")
    finally:
        root.removeHandler(handler)
    return stream.getvalue()


@pytest.mark.parametrize("error", LOST)
@pytest.mark.parametrize("name", ["procrastinate.utils", "procrastinate.worker", "procrastinate.worker.worker"])
def test_a_lost_database_is_one_line(name: str, error: Exception) -> None:
    assert logged(name, error) == "a side task failed\n"


def test_any_other_error_keeps_its_traceback() -> None:
    assert "ZeroDivisionError" in logged("procrastinate.worker", ZeroDivisionError())
    assert "Traceback" in logged("procrastinate.worker", ZeroDivisionError())


def test_a_lost_database_elsewhere_keeps_its_traceback() -> None:
    assert "Traceback" in logged("strongroom.backup", ConnectorException())
