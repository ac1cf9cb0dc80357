"""What every command gets: the settings of its home and the place where it writes."""

import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import click

from ...config.errors import CallError
from ...config.settings import Settings, load_settings
from ..processes.running import Running, running
from .output import Output


@dataclass
class Invocation:
    """One run of the command line. Nothing is read or opened before it is asked for."""

    home: Path | None = None
    verbose: bool = False
    as_json: bool = False
    ports: dict[str, int | None] = field(default_factory=dict[str, int | None])

    @cached_property
    def settings(self) -> Settings:
        """Settings of the home; while `strongroom up` runs there, with the ports that it was given."""
        settings = load_settings(self.home, **self.ports)
        found = running(settings)
        return settings if found is None or self.ports else load_settings(self.home, **_ports_of(found))

    @cached_property
    def output(self) -> Output:
        """Where results and progress go."""
        return Output(as_json=self.as_json)

    def confirm(self, slug: str, consequence: str, *, yes: bool) -> None:
        """Have the operator type `slug` before something is destroyed. Raises `CallError` where nobody can be asked."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise CallError(f"{consequence} Repeat with --yes if that is meant.")
        typed: str = click.prompt(f"{consequence} Type “{slug}” to go on", default="", show_default=False, err=True)
        if typed.strip() != slug:
            raise CallError("That is not the name; nothing was changed.")


def _ports_of(found: Running) -> dict[str, int]:
    return {"https_port": found.https_port, "http_port": found.http_port, "metrics_port": found.metrics_port}
