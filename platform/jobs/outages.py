"""The log of a worker whose database goes away: a line for each thing that noticed, and no traceback."""

import logging

import psycopg
from procrastinate.exceptions import ConnectorException

_LOGGERS = ("procrastinate.utils", "procrastinate.worker", "procrastinate.worker.worker")


def log_outages_briefly() -> None:
    """Have procrastinate log a lost database without tracebacks: where it was noticed explains nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_without_traceback)  # a second time has no effect


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], ConnectorException | psycopg.OperationalError):
        record.exc_info = None
    return True
