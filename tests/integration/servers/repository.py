"""A repository of pgBackRest for tests and benches: it archives the log of one of Debian's servers and backs it up."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from debian_server import ADMIN, ADMIN_RULE, RULES, DebianServer, start

from strongroom.provisioning.postgres.account import current_user, server_account
from strongroom.provisioning.postgres.places import private_folder
from strongroom.provisioning.postgres.programs import run_program

STANZA = "test"
_PROGRAM = "pgbackrest"
_CONFIG = """\
[global]
repo1-path={folder}/repo
lock-path={folder}/locks
spool-path={folder}/spool
log-path={folder}/log
log-level-file=off
start-fast=y
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=a-throw-away-repository
compress-type=zst
compress-level=1
process-max=2

[{stanza}]
pg1-path={data}
pg1-port={port}
pg1-socket-path={folder}
pg1-user={admin}
"""
_SETTINGS = """\
unix_socket_directories = '{folder}'
full_page_writes = on
archive_mode = on
archive_command = 'pgbackrest --config={folder}/pgbackrest.conf --stanza={stanza} archive-push %p'
"""


def is_installed() -> bool:
    """Say whether the program is there."""
    return shutil.which(_PROGRAM) is not None


@dataclass(frozen=True, slots=True)
class Repository:
    """A running server whose log is archived, and the folder of the archive."""

    server: DebianServer
    folder: Path

    @property
    def config(self) -> Path:
        """What leads pgBackRest to the repository."""
        return self.folder / "pgbackrest.conf"

    def run(self, *words: str) -> str:
        """Run pgBackRest as the server's account; return what it says."""
        command = [_PROGRAM, f"--config={self.config}", f"--stanza={STANZA}", *words]
        return run_program(command, self.server.cluster.account.keywords)

    def base_backup(self) -> None:
        """Take a full base backup, and let the second end in which it was finished: pgBackRest counts in seconds."""
        self.run("--type=full", "backup")
        time.sleep(1.1)


def start_archived(parent: Path, settings: str = "") -> Repository:
    """Start a server in a new folder of `parent`, with a stanza of its own."""
    account = server_account()
    folder = private_folder(Path(tempfile.mkdtemp(prefix="pgb-", dir=parent)), account)
    folder.chmod(0o755)
    server = start(parent, _SETTINGS.format(folder=folder, stanza=STANZA) + settings)
    user = account.name if account.switch else current_user()
    local = f"local all,replication {ADMIN} peer map=backup\n"
    server.cluster.write_rules(f"{RULES}{local}{ADMIN_RULE}", f"backup {user} {ADMIN}\n")
    server.reload()
    made = Repository(server, folder)
    made.config.write_text(
        _CONFIG.format(folder=folder, stanza=STANZA, data=server.cluster.data, port=server.port, admin=ADMIN)
    )
    made.config.chmod(0o644)
    made.run("stanza-create")
    return made
