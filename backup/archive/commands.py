"""The operator's commands around the way back to a point in time. They parse, call, and print."""

from datetime import UTC, datetime
from typing import Any

import click

from ...config.settings import Settings
from ...platform.console.commands import Command, pass_invocation
from ...platform.console.invocation import Invocation
from ...platform.control.platform import Platform
from ...platform.servers import queries as servers
from ...platform.servers.records import Server
from ...provisioning.opening import open_home
from ...provisioning.postgres.embedded import EmbeddedServer
from ...provisioning.postgres.setup import EMBEDDED_NAME
from ...provisioning.postgres.spool import is_archiving
from ..progress import Event, Progress
from .archiver import archive_once, run_archiver
from .base import run_base_backup
from .moment import archive_of

_SHOWN = {"server": "SERVER", "first": "FROM", "last": "TO", "lag_seconds": "LAG (S)", "archiver": "ARCHIVER"}


@click.command(cls=Command, example="strongroom backup base")
@click.argument("server", default=EMBEDDED_NAME, metavar="[SERVER]")
@pass_invocation
def base(invocation: Invocation, server: str) -> None:
    """Take a base backup of a whole server now; the worker takes one a day.

    From the first one on PostgreSQL's log is archived, and any workspace can be had back as it was at any second.
    """
    with open_home(invocation.settings) as platform, invocation.output.progress(f"Base backup of {server}") as advance:
        done = run_base_backup(platform, server, progress=_spoken(advance))
    row = {
        "id": done.id,
        "server": done.server,
        "state": done.state,
        "bytes": done.size,
        "started_at": done.started_at,
        "finished_at": done.finished_at,
    }
    invocation.output.done(f"The base backup {done.id} is stored ({(done.size or 0) / 1e6:.1f} MB).", row)


@click.command(cls=Command, example="strongroom backup window --json")
@pass_invocation
def window(invocation: Invocation) -> None:
    """Show for each server from when to when its workspaces can be had back, and how far behind the archive is."""
    with open_home(invocation.settings) as platform:
        with platform.control.connect() as conn:
            stanzas = {stanza.server for stanza in platform.settings.pgbackrest}
            known = [one for one in servers.list_all(conn) if one.kind == "embedded" or one.name in stanzas]
        rows = [_window_row(platform, server) for server in known]
    invocation.output.table(rows, _SHOWN, "No server's log is archived.")


@click.command(cls=Command, example="strongroom archiver\nstrongroom archiver --once")
@click.option("--once", is_flag=True, help="Archive what waits now, then end.")
@pass_invocation
def archiver(invocation: Invocation, *, once: bool) -> None:
    """Store the embedded server's log, encrypted, in the backup store, until Ctrl-C or SIGTERM. One works at a time.

    `strongroom up` runs it by itself.
    """
    settings, output = invocation.settings, invocation.output
    if not once:
        run_archiver(settings, lambda: output.say("Archiving the log."))
        return
    stored = archive_once(settings)
    sentence = "Another archiver is at work." if stored is None else f"{stored} pieces of the log were archived."
    output.done(sentence, {"archived": stored})


def _window_row(platform: Platform, server: Server) -> dict[str, Any]:
    found, settings = archive_of(platform, server).window(), platform.settings
    return {
        "server": server.name,
        "first": found.first if found else None,
        "last": found.last if found else None,
        "lag_seconds": _lag(settings),
        "archiver": "at work" if is_archiving(settings) else "not running",
    }


def _lag(settings: Settings) -> float:
    return round(EmbeddedServer(settings).spool.lag(datetime.now(UTC)).total_seconds(), 1)


def _spoken(advance: Any) -> Progress:
    def progress(event: Event) -> None:
        advance(event.step)

    return progress
