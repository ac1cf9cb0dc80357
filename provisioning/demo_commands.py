"""The operator's commands around example data."""

from pathlib import Path

import click

from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from .demo.offices import LIST, write_offices
from .demo.source import find_folder

_OFFICES = 540


@click.group(cls=Group)
def demo() -> None:
    """Example data to try things with."""


@demo.command(example="strongroom demo offices --output offices/")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the source data lie [../shared/data beside the project].",
)
@click.option(
    "--output", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Where to write."
)
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=_OFFICES, show_default=True, help="How many, the biggest first."
)
@pass_invocation
def offices(invocation: Invocation, data: Path | None, output: Path, count: int) -> None:
    """Write the offices of the U.S. House of 2024 and what they spent, as a list for `tenant create --from`.

    The amounts are real and add up for each office, category and quarter; merchants and dates are generated.
    """
    written, expenses = write_offices(data or find_folder(), output, count)
    document = {"offices": written, "expenses": expenses, "list": output / LIST}
    sentence = f"{written} offices with {expenses} expenses are in {output / LIST}."
    invocation.output.done(f"{sentence} Next: strongroom tenant create --from {output / LIST}", document)
