"""The one exception tree.

Each message is one sentence for the person who reads it: what is wrong and what to do. The web maps the classes to a
status in `platform/web/errors.py`, the command line to an exit code in `cli.py`; no other place decides either.
"""


class StrongroomError(Exception):
    """Root of all expected errors; anything else that surfaces is a bug."""


class CallError(StrongroomError):
    """Raised when what the caller sent is wrong: a bad slug, a malformed amount, a missing column."""

    def __init__(self, message: str, field: str | None = None) -> None:
        """`field` names the form field or option that the sentence is about, where there is one."""
        super().__init__(message)
        self.field = field


class NotFoundError(StrongroomError):
    """Raised when a tenant, backup, server, expense … of that name does not exist here."""


class RefusedError(StrongroomError):
    """Raised when the request makes sense but not in this state: slug taken, report already approved."""


class StaleVersionError(RefusedError):
    """Raised when somebody else has saved the same object since it was opened."""


class BusyError(RefusedError):
    """Raised when another worker has the workspace in its hands: a repeat is refused no longer than that takes."""


class ForbiddenError(StrongroomError):
    """Raised when the member's role does not permit the action."""


class VerificationError(StrongroomError):
    """Raised when a check of isolation, of a backup or of a sealed value fails."""


class FailedError(StrongroomError):
    """Raised when something outside the call failed: disk full, store unreachable. Safe to repeat."""


class UnavailableError(FailedError):
    """Raised when a server or a connection is not to be had right now."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        """`retry_after` is the number of seconds after which a repeat makes sense."""
        super().__init__(message)
        self.retry_after = retry_after


class UnknownHostError(NotFoundError):
    """Raised when no workspace answers to the requested host name."""


class TenantSuspendedError(RefusedError):
    """Raised when the workspace exists but is suspended."""


class KeyMissingError(NotFoundError):
    """Raised when the key store holds no key of that name: never created, or destroyed on purpose."""
