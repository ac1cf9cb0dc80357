"""Click classes that give every command the same manners: `--json`, an example in `--help`, options in any place."""

import importlib
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import click

from .invocation import Invocation

pass_invocation = click.make_pass_decorator(Invocation)


class Command(click.Command):
    """A command with `--json`, and with `example` (one or more lines) at the end of its `--help`."""

    def __init__(self, *args: Any, example: str, json: bool = True, **kwargs: Any) -> None:
        """`json=False` for a command that runs until it is stopped and has no result."""
        super().__init__(*args, **kwargs)
        self.example = example
        self.no_args_is_help = False
        if json:
            self.params.append(_flag("--json", "as_json", "One JSON document on standard output, nothing else there."))
        # `strongroom tenant list --home X` means what `strongroom --home X tenant list` means.
        self.params.append(click.Option(["--home"], type=Path, expose_value=False, hidden=True, callback=_keep("home")))
        self.params.append(_flag("-v", "verbose", "", hidden=True))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        del ctx
        with formatter.section("Example"):
            for line in self.example.strip().splitlines():
                formatter.write_text(line.strip())


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


class LaterCommands(MutableMapping[str, click.Command]):
    """Commands by name, each imported when it is first looked at: a call needs one, and all of them take a second."""

    def __init__(self, package: str, places: dict[str, str], known: MutableMapping[str, click.Command]) -> None:
        """`places`: name → “module:attribute”, relative to `package`; `known`: those that are there already."""
        self._package = package
        self._places = places
        self._known = known

    def __getitem__(self, name: str) -> click.Command:
        """Return a command, imported by now. Raises `KeyError`."""
        if name not in self._known:
            module, _, attribute = self._places[name].partition(":")
            self._known[name] = getattr(importlib.import_module(module, self._package), attribute)
        return self._known[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        """Add a command that is there."""
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        """Remove a command."""
        self._places.pop(name, None)
        self._known.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(sorted({*self._places, *self._known}))

    def __len__(self) -> int:
        """Return how many there are."""
        return len({*self._places, *self._known})

    def __contains__(self, name: object) -> bool:
        """Say whether there is such a command, without importing it."""
        return name in self._places or name in self._known


def _flag(name: str, field: str, text: str, *, hidden: bool = False) -> click.Option:
    return click.Option(
        [name], is_flag=True, expose_value=False, hidden=hidden, help=text, is_eager=True, callback=_keep(field)
    )


def _keep(field: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(ctx: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if value:
            setattr(ctx.ensure_object(Invocation), field, value)
        return value

    return callback
