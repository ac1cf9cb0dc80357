"""Which status and sentence each expected error has."""

import psycopg
import pytest
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import InterfaceError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import MethodNotAllowed, NotFound, RequestEntityTooLarge

from strongroom.config import errors
from strongroom.platform.web.errors import TABLE, page_for


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.CallError("x"), 422),
        (errors.NotFoundError("x"), 404),
        (errors.UnknownHostError("x"), 404),
        (errors.RefusedError("x"), 409),
        (errors.BusyError("x"), 409),
        (errors.StaleVersionError("x"), 409),
        (errors.TenantSuspendedError("x"), 403),
        (errors.ForbiddenError("x"), 403),
        (errors.FailedError("x"), 503),
        (errors.UnavailableError("x"), 503),
        (errors.VerificationError("x"), 500),
        (errors.KeyMissingError("x"), 500),
        (errors.StrongroomError("x"), 500),
        (ZeroDivisionError("x"), 500),
        (CSRFError("x"), 400),
        (OperationalError("x", None, psycopg.errors.AdminShutdown("x")), 503),
        (InterfaceError("x", None, psycopg.InterfaceError("x"), connection_invalidated=True), 503),
        (InterfaceError("x", None, psycopg.InterfaceError("x")), 500),
        (PendingRollbackError("x"), 503),
        (PoolTimeoutError("x"), 503),
        (NotFound(), 404),
        (MethodNotAllowed(), 405),
        (RequestEntityTooLarge(), 413),
    ],
)
def test_every_error_has_its_status(error: Exception, status: int) -> None:
    assert page_for(error).status == status


def test_what_is_not_written_for_the_reader_is_never_shown() -> None:
    for error in (ZeroDivisionError("x"), errors.VerificationError("x"), errors.UnknownHostError("x"), NotFound()):
        assert page_for(error).sentence


def test_every_class_of_the_tree_is_covered() -> None:
    known = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert known - {errors.StrongroomError} <= set(TABLE)
