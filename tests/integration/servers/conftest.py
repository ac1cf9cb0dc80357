"""These tests need Debian's PostgreSQL; without it they are not collected (`make test-servers` installs it)."""

import debian_server
import repository

collect_ignore_glob = [] if debian_server.is_installed() else ["test_*.py"]
if not repository.is_installed():
    collect_ignore_glob.append("test_pgbackrest.py")
