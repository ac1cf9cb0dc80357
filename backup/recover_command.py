"""The command for the worst day: everything back from the backups and the master key."""

from pathlib import Path

import click

from ..platform.console.commands import Command, pass_invocation
from ..platform.console.invocation import Invocation
from ..provisioning.commands import operator_name
from .recovery.place import read_place
from .recovery.recover import PARALLEL, Order, recover
from .recovery.watching import Watch

_LISTED = {
    "slug": "WORKSPACE",
    "state": "STATE",
    "as_of": "AS OF",
    "rows": "ROWS",
    "receipts": "RECEIPTS",
    "seconds": "SECONDS",
    "note": "NOTE",
}


@click.command(
    name="recover",
    cls=Command,
    example="strongroom --home /srv/strongroom backup recover --from /srv/strongroom-backups --master-key master.key\n"
    "strongroom backup recover --from s3://acme-backups/strongroom --credentials s3.toml --master-key master.key",
)
@click.option("--from", "source", required=True, metavar="STORE", help="Folder of the backups, or address of a store.")
@click.option(
    "--master-key", "master_key", required=True, type=click.Path(path_type=Path), help="The file from escrow."
)
@click.option("--credentials", type=click.Path(path_type=Path), help="What the store is read with (TOML).")
@click.option("--keys", metavar="STORE", help="Where the key copies lie, if not beside the backups.")
@click.option("--only", multiple=True, metavar="SLUG", help="This workspace only, for now; may be said several times.")
@click.option("--parallel", type=click.IntRange(1, 32), default=PARALLEL, show_default=True, metavar="N")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def recover_command(
    invocation: Invocation,
    source: str,
    master_key: Path,
    only: tuple[str, ...],
    parallel: int,
    *,
    credentials: Path | None,
    keys: str | None,
    yes: bool,
) -> None:
    """Bring everything back on an empty machine: control plane, then workspaces, most recently active first.

    Needs the backups and the master key, nothing else. Killed or failed, it goes on when the same command is repeated.
    The report is kept in recovery.json of the home. Exit code 5: a workspace has no backup that proves good.
    """
    settings, output = invocation.settings, invocation.output
    store = read_place(settings.home, source, keys, credentials)
    consequence = f"{settings.home} takes the place of the lost installation, which must not run any more."
    invocation.confirm("recover", consequence, yes=yes)
    order = Order(store, master_key, only, parallel, operator_name())
    report = recover(settings, order, Watch(output.say, output.progress))
    if output.as_json:
        output.record(report.to_json())
    else:
        output.table(report.rows(), _LISTED, "There are no workspaces in the backup of the control database.")
        output.say(report.summary())
    if (error := report.error()) is not None:
        raise error
