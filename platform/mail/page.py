"""The HTML of a message, made from its plain text by one template: nothing is in it that the text does not say.

No picture, font or style comes from elsewhere, and no link is rewritten: nobody learns that a message was opened.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, Template

from ...config.settings import Settings

_LINK = re.compile(r"https://[^\s<>\"']+")
_LABELS = {
    "invitation": "Accept the invitation",
    "reset": "Choose a new password",
    "not-me": "This was not me",
    "unlock": "Sign in",
}
_BLANK = re.compile(r"\n[ \t]*\n+")


@dataclass(frozen=True, slots=True)
class Part:
    """A paragraph of some lines, or the link of a button."""

    lines: tuple[str, ...] = ()
    link: str | None = None

    @property
    def label(self) -> str:
        """What the button says."""
        first = urlsplit(self.link or "").path.split("/")[1:2]
        return _LABELS.get(first[0] if first else "", "Open in Strongroom")


def html_of(subject: str, body: str, settings: Settings) -> str:
    """An HTML document that says what `body` says. A line that is only a link to this installation is a button."""
    return _template().render(subject=subject, parts=parts_of(body, settings.base_domain), site=settings.base_domain)


def parts_of(body: str, base_domain: str) -> list[Part]:
    """Paragraphs and buttons, in the order of the text. A link to elsewhere stays text: a name could be one."""
    found: list[Part] = []
    for paragraph in _BLANK.split(body.replace("\r\n", "\n").strip()):
        lines: list[str] = []
        for line in map(str.strip, paragraph.split("\n")):
            if not _is_ours(line, base_domain):
                lines.append(line)
                continue
            found += [Part(lines=tuple(lines))] if lines else []
            found.append(Part(link=line))
            lines = []
        found += [Part(lines=tuple(lines))] if any(lines) else []
    return found


def _is_ours(line: str, base_domain: str) -> bool:
    """Whether `line` is one link, and leads to this installation."""
    if not _LINK.fullmatch(line):
        return False
    try:
        parts = urlsplit(line)
    except ValueError:
        return False
    host = parts.hostname or ""
    return "@" not in parts.netloc and (host == base_domain or host.endswith(f".{base_domain}"))


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("letter.html")
