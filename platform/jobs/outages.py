"""What a worker says when its database goes away: a line for each thing that noticed, and no traceback."""

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from procrastinate.utils import causes

# SQLSTATE, PostgreSQL's appendix A: connection exceptions, and operator intervention that ends a session
_LOST = ("08", "57P")


@contextmanager
def outages_told_briefly() -> Generator[None]:
    """Log lost databases without tracebacks: where each was noticed explains nothing. Needs a running event loop.

    A job whose end cannot be noted leaves its error to the event loop, which tells of it whenever the job is collected,
    even after the block; nothing is told then, for the worker that lost its database has said so itself.
    """
    asyncio.get_running_loop().set_exception_handler(_tell_of_others)
    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(_without_traceback)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_without_traceback)


def _tell_of_others(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not _outage(context.get("exception")):
        loop.default_exception_handler(context)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and (lost := _outage(record.exc_info[1])):
        record.msg, record.args = f"{record.getMessage()} ({lost})", ()
        record.exc_info = record.exc_text = None
    return True


def _outage(error: BaseException | None) -> psycopg.OperationalError | None:
    """Return the loss of a connection that `error` is or was caused by."""
    for cause in causes(error):
        if isinstance(cause, psycopg.OperationalError) and (cause.sqlstate or "08").startswith(_LOST):
            return cause
    return None
