"""The command line, where all parts come together, and the one place that turns an error into an exit code."""

import errno
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psycopg
from sqlalchemy.exc import DBAPIError

from .config.errors import (
    CallError,
    FailedError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    StrongroomError,
    UnavailableError,
    VerificationError,
)
from .config.logging import configure_logging
from .platform.console.commands import Group, LaterCommands
from .platform.console.invocation import Invocation

EXIT_BUG = 70
_LEAST_FREE = 24 * 1024**2  # bytes: PostgreSQL needs 16 MB for the next piece of its log
_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (CallError, 2),
    (NotFoundError, 3),
    (RefusedError, 4),
    (ForbiddenError, 4),
    (VerificationError, 5),
    (FailedError, 1),
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--home", type=Path, help="Where settings, keys, PostgreSQL and receipts live [$STRONGROOM_HOME, else ./var]."
)
@click.option("-v", "--verbose", is_flag=True, help="More log lines, and the traceback of a bug.")
@click.version_option(package_name="strongroom", message="strongroom %(version)s")
@click.pass_obj
def strongroom(invocation: Invocation, home: Path | None, *, verbose: bool) -> None:
    """Expense management in which every customer account has a PostgreSQL database of its own.

    Results go to standard output, progress to standard error. Exit codes: 0 done, 1 failed for a reason outside the
    call (repeat it), 2 the call is wrong, 3 no such thing, 4 refused in this state, 5 a verification failed, 70 a bug.

    First steps: strongroom up --demo
    """
    invocation.home, invocation.verbose = home, verbose or invocation.verbose


strongroom.commands = LaterCommands(
    __package__ or "strongroom",
    {
        "up": ".service:up",
        "web": ".service:web",
        "worker": ".service:worker",
        "archiver": ".backup.archive.commands:archiver",
        "serve": ".children:serve",
        "init": ".provisioning.commands:init",
        "status": ".provisioning.status_command:status",
        "server": ".provisioning.server_commands:server",
        "tenant": ".tenant_commands:tenant",
        "member": ".provisioning.member_commands:member",
        "fleet": ".provisioning.fleet.commands:fleet",
        "isolation": ".provisioning.isolation_commands:isolation",
        "backup": ".backup.commands:backup",
        "store": ".backup.store_commands:store",
        "key": ".provisioning.key_commands:key",
        "mail": ".provisioning.mail_commands:mail",
        "proxy": ".platform.proxy.commands:proxy",
        "demo": ".provisioning.demo_commands:demo",
    },
    {},
)


def main() -> None:
    """Entry point of the `strongroom` script and of `python -m strongroom`."""
    _open_closed_streams()
    arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, _on_sigterm)
    configure_logging(verbose=_is_verbose(arguments))
    sys.exit(run(arguments))


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit code. Says in one sentence what went wrong, if anything did."""
    invocation = Invocation(as_json="--json" in arguments, verbose=_is_verbose(arguments))
    try:
        result: Any = strongroom.main(list(arguments), prog_name="strongroom", standalone_mode=False, obj=invocation)
        sys.stdout.flush()
    except BrokenPipeError:  # `strongroom tenant list | head -1`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        invocation.output.say("strongroom: interrupted; the command can be repeated.")
        return 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 - the last stop: whatever it is becomes a sentence and a code
        return _report(error, invocation)
    return result if isinstance(result, int) else 0


def exit_code(error: Exception) -> int:
    """The exit code that stands for `error` in the contract of the command line."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), EXIT_BUG)


def _is_verbose(arguments: Sequence[str]) -> bool:
    return "-v" in arguments or "--verbose" in arguments


def _report(error: Exception, invocation: Invocation) -> int:
    known = _full_disk(error, invocation) or _as_known(error)
    code = exit_code(known)
    sentence = str(known) if code != EXIT_BUG else f"This is a bug ({type(error).__name__}); -v shows where."
    invocation.output.error(sentence, code)
    if code == EXIT_BUG and invocation.verbose:
        traceback.print_exception(error)
    return code


def _as_known(error: Exception) -> Exception:
    """`error` in our own words where it comes from outside: the operating system, the database, Click."""
    match error.orig if isinstance(error, DBAPIError) else error:
        case StrongroomError():
            return error
        case UnicodeEncodeError(reason="surrogates not allowed"):  # how Python passes on bytes that are no text
            return CallError("An argument contains bytes that are not text in UTF-8.")
        case click.ClickException() as wrong:
            context = getattr(wrong, "ctx", None)
            hint = f" See `{context.command_path} --help`." if context else ""
            return CallError(_sentence(wrong.format_message()) + hint)
        case OSError() as refused:
            return FailedError(_of_system(refused)) if refused.errno in _OUTSIDE else error
        case psycopg.OperationalError() as unusable:
            return FailedError(_of_database(unusable))
        case _:
            return error


def _full_disk(error: Exception, invocation: Invocation) -> Exception | None:
    """The cause behind a database that cannot be used, where a full disk is the cause: it rarely says so itself."""
    orig = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(orig, psycopg.OperationalError | UnavailableError):
        return None
    for folder in (invocation.settings.home, invocation.settings.backup_root):
        with suppress(OSError):
            free = shutil.disk_usage(folder).free
            if free < _LEAST_FREE:
                left = f"{free // 1024**2} MB left"
                return FailedError(f"The disk of {folder} is full ({left}); make room and repeat the command.")
    return None


_OUTSIDE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO}


def _of_system(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{where}; make room and repeat the command."
    return f"The operating system refused: {error.strerror}{where}."


def _of_database(error: psycopg.OperationalError) -> str:
    if isinstance(error, psycopg.errors.DiskFull):
        return "The database has no disk space left; make room and repeat the command."
    return f"PostgreSQL cannot be used just now: {_sentence(str(error).splitlines()[0] if str(error) else 'no answer')}"


def _open_closed_streams() -> None:
    """Give standard streams that the caller has closed to nowhere.

    Otherwise the next file or socket that is opened becomes standard output, and is printed into.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut the tidying short
    # Leaves through every `finally`, so that an embedded server started for this command is stopped again.
    raise SystemExit(128 + signal.SIGTERM)
