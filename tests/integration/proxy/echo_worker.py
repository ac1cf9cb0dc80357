"""One web process behind a proxy, with the real listener and an application that says what reached it.

Called as `echo_worker.py HOME INDEX`.
"""

import json
import os
import sys
from pathlib import Path

from strongroom.config.settings import load_settings
from strongroom.platform.processes.lifeline import end_with_parent
from strongroom.platform.web.app import UPLOAD_LIMIT
from strongroom.platform.web.gateway import Served
from strongroom.platform.web.server import serve_proxied


def main(home, index):
    end_with_parent(os.getppid())

    def load(_settings, parent):
        end_with_parent(parent)
        return Served(answer, lambda _method, _host, _path: UPLOAD_LIMIT)

    def answer(environ, start_response):
        told = {key: value for key, value in environ.items() if "FORWARDED" in key}
        said = {
            "worker": index,
            "address": environ["REMOTE_ADDR"],
            "scheme": environ["wsgi.url_scheme"],
            "host": environ["HTTP_HOST"],
            "told": told,
            "bytes": len(environ["wsgi.input"].read()),
        }
        body = json.dumps(said).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Strict-Transport-Security", "max-age=1")])
        return [body]

    serve_proxied(load_settings(Path(home)), index, list, load)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
