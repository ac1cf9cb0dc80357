"""`server check --repair` on the command line: says what it would do, asks, does it."""

from ..platform.console.invocation import Invocation
from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from .repair import plan, repair
from .strays import foreign_databases


def mend_server(invocation: Invocation, platform: Platform, name: str, *, yes: bool) -> None:
    """Mend what can be mended on the server `name`, and say what was done.

    Raises `NotFoundError` for an unknown server, `CallError` when nobody says yes.
    """
    say = invocation.output.say
    with platform.control.connect() as conn:
        server = servers.by_name(conn, name)
    for stray in plan(platform, server):
        say(f"{stray.where} {stray.sentence}. --repair: {stray.remedy.value}.")
    for foreign in foreign_databases(platform, server):
        say(f"{foreign} is no database of the platform; it is left alone.")
    invocation.confirm(name, f"What is listed on {name} will be mended, and its access lists closed.", yes=yes)
    made = repair(platform, server)
    for sentence in [*made.done, *made.failed]:
        say(sentence)
