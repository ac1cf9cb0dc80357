"""What `strongroom up` says once everything runs: addresses, sign-ins, where things are, what to try."""

from dataclasses import dataclass
from pathlib import Path

from ...config.settings import Settings
from .people import DOMAIN
from .secret import DemoNote

_SIGN_INS = ("owner", "admin", "member", "contributor", "read-only")


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is when the block is printed.

    `names` are the demo's workspaces by slug, in order; `program` is how the commands are called in this home.
    """

    seconds: float
    workspaces: int
    verified: int
    names: dict[str, str]
    authority: Path
    program: str


def ready_block(settings: Settings, standing: Standing, note: DemoNote | None) -> str:
    """The block as plain text. `note` is the demo's, where there is one."""
    sections = [("Public site", [settings.site_url()])]
    if note is not None:
        sections += _demo_sections(settings, standing, note)
    sections += [
        ("Backups", [_backups(settings, standing)]),
        ("Certificate", [f"{standing.authority} (trust it, or accept the browser's warning)"]),
        ("Try next", _commands(standing)),
    ]
    title = f"Strongroom is ready ({standing.seconds:.0f} s). Ctrl-C stops it."
    return "\n".join(["", title, "", *(_section(name, lines) for name, lines in sections), ""])


def _demo_sections(settings: Settings, standing: Standing, note: DemoNote) -> list[tuple[str, list[str]]]:
    width = max((len(settings.workspace_url(slug)) for slug in standing.names), default=0)
    addresses = [f"{settings.workspace_url(slug):<{width}}  {name}" for slug, name in standing.names.items()]
    people = ", ".join(f"{who}@{DOMAIN}" for who in _SIGN_INS)
    return [
        ("Workspaces", addresses),
        ("Sign in as", [people, f"password {note.password}  (the same everywhere, kept in {settings.home}/demo.json)"]),
        ("The data", [f"From {note.origin}.", note.notice]),
    ]


def _backups(settings: Settings, standing: Standing) -> str:
    return (
        f"{settings.local_store_dir}: {standing.verified} of {standing.workspaces} workspaces backed up and verified; "
        f"every {settings.backup_interval_hours} h"
    )


def _commands(standing: Standing) -> list[str]:
    program = standing.program
    slug = next(iter(standing.names), "acme")
    return [
        f"{program} tenant create acme --name Acme --owner you@example.com --wait",
        f"{program} backup list {slug}",
        f"{program} isolation verify --live 2",
    ]


def _section(name: str, lines: list[str]) -> str:
    return "\n".join(f"  {name if number == 0 else '':<12} {line}" for number, line in enumerate(lines))
