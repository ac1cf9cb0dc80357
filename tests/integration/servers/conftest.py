"""These tests need Debian's PostgreSQL; without it they are not collected (`make test-servers` installs it)."""

import debian_server

collect_ignore_glob = [] if debian_server.is_installed() else ["test_*.py"]
