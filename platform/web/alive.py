"""For the health check of a container: `python -m strongroom.platform.web.alive` ends with 0 when the portal answers.

Whether backups are late is the business of `strongroom status`: a new container would not bring them.
"""

import sys

from ...config.settings import load_settings
from .listening import answers_https, answers_proxy


def main() -> int:
    """The exit code."""
    settings = load_settings()
    if settings.worker_ports:
        return 0 if all(answers_proxy(settings, index) for index in range(len(settings.worker_ports))) else 1
    return 0 if answers_https(settings) else 1


if __name__ == "__main__":
    sys.exit(main())
