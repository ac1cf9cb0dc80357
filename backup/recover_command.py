"""The command for the worst day: everything back from the backups and the master key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..config.errors import CallError
from ..platform.console.commands import Command, pass_invocation
from ..platform.console.invocation import Invocation
from ..provisioning.commands import operator_name
from ..provisioning.opening import open_home
from . import names
from .recovery import identity
from .recovery.keys import Escrow
from .recovery.place import label, read_place
from .recovery.recover import PARALLEL, Order, recover
from .recovery.watching import Watch
from .stores.opening import open_place

_LISTED = {
    "slug": "WORKSPACE",
    "state": "STATE",
    "as_of": "AS OF",
    "rows": "ROWS",
    "receipts": "RECEIPTS",
    "seconds": "SECONDS",
    "note": "NOTE",
}


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a store is entered that no settings describe."""
    options = (
        click.option("--credentials", type=click.Path(path_type=Path), help="What the store is read with (TOML)."),
        click.option("--endpoint", metavar="URL", help="Of an S3 server that is not Amazon's."),
        click.option("--keys", metavar="STORE", help="Where the key copies lie, if not beside the backups."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    name="recover",
    cls=Command,
    example="strongroom backup recover --from /srv/strongroom-backups --master-key master.key\n"
    "strongroom backup recover --from s3://acme/backups --credentials s3.toml --master-key master.key",
)
@click.option("--from", "source", required=True, metavar="STORE", help="Folder, address, or name in the settings.")
@click.option(
    "--master-key", "master_key", required=True, type=click.Path(path_type=Path), help="The file from escrow."
)
@place_options
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
    yes: bool,
    **place: Any,
) -> None:
    """Bring everything back on an empty machine: control plane, then workspaces, most recently active first.

    Needs the backups and the master key, nothing else. Killed or failed, it goes on when the same command is repeated.
    The report is kept in recovery.json of the home. Exit code 5: a workspace has no backup that proves good.
    """
    settings, output = invocation.settings, invocation.output
    store = read_place(settings, source, **place)
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


@click.command(
    name="identity",
    cls=Command,
    example="strongroom backup identity acme --output identity.txt --yes\n"
    "strongroom backup identity acme --from /srv/backups --master-key master.key --output identity.txt --yes",
)
@click.argument("wanted", metavar="SLUG")
@click.option("--output", "path", required=True, type=click.Path(path_type=Path), help="A new file; gets mode 0600.")
@click.option("--from", "source", metavar="STORE", help="Read the key copies of this store, without a home.")
@click.option("--master-key", "master_key", type=click.Path(path_type=Path), help="The file from escrow; with --from.")
@place_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def identity_command(
    invocation: Invocation,
    wanted: str,
    path: Path,
    *,
    source: str | None,
    master_key: Path | None,
    yes: bool,
    **place: Any,
) -> None:
    """Write the age identity that opens the backups of a workspace, or of the control database (SLUG: control).

    Whoever has that file and the backups reads them. It is noted in the operators' audit log of the home, if there is
    one. SLUG may also be the id of a workspace, which is the name of its folder in the store.
    """
    if bool(source) != bool(master_key):
        raise CallError("--from and --master-key belong together.")
    settings = invocation.settings
    identity.refuse_existing(path)
    invocation.confirm(wanted, f"{path} will open every backup of “{wanted}”; remove it after use.", yes=yes)
    if source and master_key:
        store = read_place(settings, source, **place)
        where = label(store, keys=True)
        tenant_id, opened = identity.of_store(settings, open_place(store), Escrow.read(master_key), where, wanted)
        identity.note_in_home(settings, tenant_id, operator_name())
    else:
        with open_home(settings) as platform:
            tenant_id, opened = identity.of_home(platform, wanted, operator_name())
    identity.write_identity(path, tenant_id, opened)
    found = {"tenant_id": tenant_id, "folder": names.folder(tenant_id), "identity_file": path}
    invocation.output.done(f"{path} opens the backups in the folder {found['folder']} of the store.", found)
