"""`proxy`: what a proxy in front of the web processes needs."""

from pathlib import Path

import click

from ...config.errors import FailedError
from ..console.commands import Group, pass_invocation
from ..console.invocation import Invocation
from .facts import proxy_facts
from .haproxy import haproxy_configuration
from .nginx import nginx_configuration

_KINDS = {"nginx": nginx_configuration, "haproxy": haproxy_configuration}


@click.group(cls=Group)
def proxy() -> None:
    """A proxy that sends each workspace to the same web process, so that its connections exist once."""


@proxy.command(
    example="strongroom proxy config nginx --output /etc/strongroom/nginx.conf\nstrongroom proxy config haproxy"
)
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file [standard output].")
@pass_invocation
def config(invocation: Invocation, kind: str, output: Path | None) -> None:
    """Write the complete configuration for nginx or HAProxy. Set worker_port_base first.

    nginx's is for the account that calls this: root, or the one that owns the home.
    """
    from ..web.app import UPLOAD_LIMIT

    text = _KINDS[kind](proxy_facts(invocation.settings, UPLOAD_LIMIT))
    if output is not None:
        _write(output, text)
        invocation.output.done(f"{output} is written.", {"kind": kind, "output": output})
    elif invocation.as_json:
        invocation.output.record({"kind": kind, "configuration": text})
    else:
        invocation.output.print_plain(text.rstrip("\n"))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FailedError(f"{path} cannot be written: {error.strerror}.") from error
