"""The real HTTPS, plain or CDN listener with an application that says what reached it.

Called as `edge_worker.py KIND HOME`. Its patience is short, so that tests see it end.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from strongroom.config.settings import load_settings
from strongroom.platform.processes.lifeline import end_with_parent
from strongroom.platform.web import forwarded, server
from strongroom.platform.web.gateway import Served
from strongroom.platform.web.patience import Patience

PATIENCE = Patience(
    request=3.0, idle=3.0, body=0.8, rate=200_000, stalled=0.8, step=200_000, hurried=0.3, look_every=0.1
)
MOST = 1024 * 1024
BIG = bytes(12 * 1024 * 1024)


def answer(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/big":
        start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(BIG)))])
        return [BIG]
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("on purpose")
    said = {
        "address": environ["REMOTE_ADDR"],
        "country": environ.get(forwarded.COUNTRY),
        "scheme": environ["wsgi.url_scheme"],
        "host": environ["HTTP_HOST"],
        "path": environ["PATH_INFO"],
        "headers": {key: value for key, value in environ.items() if key.startswith("HTTP_")},
        "environment": sorted(set(environ) & set(os.environ)),
        "bytes": len(body),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


def load(settings, parent):
    end_with_parent(parent)
    with suppress(FileNotFoundError):
        time.sleep(float((settings.home / "slow").read_text()))
    return Served(answer, lambda _method, _host, _path: MOST)


def main(kind, home):
    end_with_parent(os.getppid())
    settings = load_settings(Path(home))
    if kind == "https":
        server.serve_https(settings, list, load, PATIENCE)
    elif kind == "cdn":
        server.serve_cdn(settings, list, load, PATIENCE)
    else:
        server.serve_redirects(settings, PATIENCE)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
