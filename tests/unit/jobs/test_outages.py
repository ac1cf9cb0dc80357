"""A worker that loses its database fills no log with tracebacks."""

import asyncio
import gc
import io
import logging
from collections.abc import Generator

import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from psycopg_pool import PoolTimeout
from sqlalchemy.exc import OperationalError

from strongroom.config.errors import UnavailableError
from strongroom.platform.jobs.outages import outages_told_briefly

SHUT_DOWN = psycopg.errors.AdminShutdown("terminating connection")


def caused_by(cause: Exception, error: Exception) -> Exception:
    error.__cause__ = cause
    return error


LOST = [
    SHUT_DOWN,
    psycopg.OperationalError("terminating connection"),
    psycopg.errors.ConnectionFailure("terminating connection"),
    PoolTimeout("terminating connection"),
    caused_by(SHUT_DOWN, ConnectorException()),
    caused_by(SHUT_DOWN, UnavailableError("The database is away.")),
    caused_by(SHUT_DOWN, OperationalError("SELECT 1", {}, SHUT_DOWN)),
]
OTHERS = [
    ZeroDivisionError(),
    psycopg.errors.DeadlockDetected("deadlock detected"),
    psycopg.errors.QueryCanceled("canceling statement due to statement timeout"),
    caused_by(psycopg.errors.UndefinedColumn("no such column"), ConnectorException()),
]


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(autouse=True)
def handler(log: io.StringIO) -> Generator[logging.Handler]:
    gc.collect()  # what earlier tests left speaks now
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


async def job_fails(error: Exception) -> None:
    """Log an error as procrastinate and others do."""
    with outages_told_briefly():
        logging.getLogger("some.library").error("a %s failed", "job", exc_info=error)


async def job_ends_unseen(error: Exception) -> None:
    """Leave an error in a task that nobody looks at."""

    async def fail() -> None:
        raise error

    with outages_told_briefly():
        unseen = asyncio.create_task(fail())
        await asyncio.wait({unseen})
    del unseen
    gc.collect()


def name(error: Exception) -> str:
    return f"{type(error).__name__}-{type(error.__cause__).__name__}"


@pytest.mark.parametrize("error", LOST, ids=name)
def test_a_lost_database_is_one_line_with_its_reason(error: Exception, log: io.StringIO) -> None:
    asyncio.run(job_fails(error))
    assert log.getvalue() == "a job failed (terminating connection)\n"


@pytest.mark.parametrize("error", OTHERS, ids=name)
def test_any_other_error_keeps_its_traceback(error: Exception, log: io.StringIO) -> None:
    asyncio.run(job_fails(error))
    assert type(error).__name__ in log.getvalue().split("\n", 1)[1]


@pytest.mark.parametrize("error", LOST, ids=name)
def test_a_job_that_could_not_note_its_end_is_not_told_of_again(error: Exception, log: io.StringIO) -> None:
    asyncio.run(job_ends_unseen(error))
    assert log.getvalue() == ""


@pytest.mark.parametrize("error", OTHERS, ids=name)
def test_any_other_error_that_nobody_looked_at_is_told(error: Exception, log: io.StringIO) -> None:
    asyncio.run(job_ends_unseen(error))
    assert "never retrieved" in log.getvalue()


def test_after_the_worker_nothing_is_shortened(log: io.StringIO, handler: logging.Handler) -> None:
    asyncio.run(job_fails(SHUT_DOWN))
    log.truncate(0)
    logging.getLogger("some.library").error("lost", exc_info=psycopg.OperationalError())
    assert "OperationalError" in log.getvalue()
    assert handler.filters == []
