"""Commands for a bad day: back to the database of before, and tables of a backup for support. The work is elsewhere."""

from pathlib import Path

import click

from ..platform.console.commands import Command, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.tenants import queries as tenants
from ..provisioning.commands import operator_name, tenant_row
from ..provisioning.opening import open_home
from .extract import extract as extract_tables
from .output import spoken_progress
from .undo import undo as put_back


@click.command(cls=Command, example="strongroom backup undo acme --yes")
@click.argument("slug")
@click.option(
    "--placement", "placement_id", metavar="ID", help="Which one [the one that it left last]; see tenant show."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def undo(invocation: Invocation, slug: str, placement_id: str | None, *, yes: bool) -> None:
    """Put a workspace back on the database that it had before a restore or a move, which is kept for a week.

    What was entered since is then no longer shown; the database with it is kept for a week in turn.
    """
    with open_home(invocation.settings) as platform:
        with platform.control.connect() as conn:
            tenants.by_slug(conn, slug)
        invocation.confirm(slug, f"“{slug}” goes back to the database that it had before.", yes=yes)
        with spoken_progress(invocation, f"Putting {slug} back") as progress:
            done = put_back(platform, slug, placement_id, operator=operator_name(), progress=progress)
        row = tenant_row(invocation.settings, done.tenant)
    row |= {
        "placement": done.placement_id,
        "left_at": done.left_at,
        "retired_placement": done.retired,
        "rows": done.rows,
        "seconds": round(done.seconds, 2),
    }
    sentence = (
        f"“{slug}” lives in t_{done.placement_id} again ({done.rows} rows; {done.seconds:.1f} s); undo takes it back."
    )
    invocation.output.done(sentence, row)


@click.command(cls=Command, example="strongroom backup extract acme --table expense --table report --to acme.zip")
@click.argument("slug")
@click.option("--backup", "backup_id", metavar="ID", help="Which backup [the newest verified one].")
@click.option("--table", "tables", required=True, multiple=True, metavar="T", help="Which table; may be repeated.")
@click.option(
    "--to",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="A new ZIP file.",
)
@pass_invocation
def extract(invocation: Invocation, slug: str, backup_id: str | None, tables: tuple[str, ...], path: Path) -> None:
    """Write tables of a backup to a ZIP file, one CSV file each, without touching the workspace.

    The backup is restored into a scratch server and compared first. Sealed columns stay sealed; the file has mode 0600,
    and the operators' audit log says who has written it.
    """
    with open_home(invocation.settings) as platform, spoken_progress(invocation, f"Extracting from {slug}") as progress:
        done = extract_tables(platform, slug, tables, path, backup_id, operator=operator_name(), progress=progress)
    row = {"path": done.path, "backup": done.backup.id, "backup_started_at": done.backup.started_at, "rows": done.rows}
    invocation.output.done(f"{done.path} has {sum(done.rows.values())} rows of the backup {done.backup.id}.", row)
