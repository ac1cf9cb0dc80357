"""What stands in an embedded server's configuration files. Pure: text from a few facts."""

from datetime import UTC, datetime
from pathlib import Path

PORT = 5432  # only part of the socket's name
SUPERUSER = "strongroom_admin"
_MAP = "strongroom"

# Statements and row values are customers' data: they never reach the log.
_SETTINGS = """\
# Written by Strongroom at every start; what ALTER SYSTEM sets comes after it and wins.
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket_dir}'
max_connections = {max_connections}
shared_buffers = {shared_buffers_mb}MB
dynamic_shared_memory_type = posix
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
password_encryption = scram-sha-256
huge_pages = try
autovacuum_naptime = 5min
recovery_init_sync_method = {sync_method}
checkpoint_timeout = 15min
jit = off
update_process_title = off
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] '
log_statement = none
log_min_error_statement = panic
log_error_verbosity = terse
log_connections = off
log_disconnections = off
log_checkpoints = off
log_hostname = off
"""

# Every finished piece of the log goes through `spool.SCRIPT`, in the folder above the data. One that holds little is
# finished after five minutes: each is 16 MB of writing, which every minute would wear a disk out for little.
_ARCHIVE = """\
archive_mode = on
archive_timeout = 5min
archive_command = 'sh ../{script} "%p" "%f"'
"""

# A throw-away instance may lose everything: its folder is removed afterwards. Several may run side by side, each for
# one workspace: they must leave the machine's memory to the server that serves.
_THROW_AWAY = """\
shared_buffers = 128MB
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
max_wal_size = 4GB
createrole_self_grant = 'set, inherit'
"""

# Replays the log up to the last transaction that was committed at or before a moment, then takes connections.
_RECOVERY = """\
hot_standby = off
wal_init_zero = off
restore_command = 'sh ../{script} "%f" "%p"'
recovery_target_time = '{until}'
recovery_target_inclusive = on
recovery_target_action = promote
recovery_target_timeline = current
"""

# Files of a server that may be of an older version: nothing here that PostgreSQL 15 does not know.
_REPLAYING = """\
hot_standby = off
archive_mode = off
fsync = off
full_page_writes = off
autovacuum = off
"""

_HBA = """\
# Written by Strongroom at every start. The first matching line decides.
# TYPE  DATABASE            USER                                  METHOD
local   strongroom_control  strongroom_control                    scram-sha-256
local   postgres            strongroom_provisioner                scram-sha-256
local   all                 strongroom_migrator,strongroom_backup scram-sha-256
local   sameuser            +tenant_logins                        scram-sha-256
local   all                 all                                   reject
"""

# In front of the others while the server is set up, and never else (EmbeddedServer.admin_door).
_DOOR = f"local   all                 {SUPERUSER}                      peer map={_MAP}\n"


def settings_text(socket_dir: Path, memory: int, sync_method: str = "syncfs") -> str:
    """Return postgresql.conf for a machine with `memory` bytes."""
    return _SETTINGS.format(
        port=PORT,
        socket_dir=str(socket_dir).replace("'", "''"),
        max_connections=max_connections(memory),
        shared_buffers_mb=shared_buffers(memory),
        sync_method=sync_method,
    )


def archive_settings_text(script: str) -> str:
    """Return the lines of postgresql.conf that hand the log to `script`, a file beside the data folder."""
    return _ARCHIVE.format(script=script)


def recovery_settings_text(script: str, until: datetime) -> str:
    """Return the lines of postgresql.conf by which an instance gets the log from `script` and replays it to `until`."""
    return _RECOVERY.format(script=script, until=until.astimezone(UTC).isoformat(sep=" ", timespec="microseconds"))


def throw_away_settings_text(socket_dir: Path, memory: int) -> str:
    """Return postgresql.conf for an instance whose data may be lost."""
    return settings_text(socket_dir, memory, "fsync") + _THROW_AWAY


def replaying_settings_text(socket_dir: Path, memory: int) -> str:
    """Return postgresql.conf for an instance that replays another server's log and may be lost afterwards."""
    return settings_text(socket_dir, memory, "fsync") + _REPLAYING


def shared_buffers(memory: int) -> int:
    """Return how many MiB of a machine's memory (bytes) hold pages: an eighth, 64 at least, 4,096 at most.

    Each new connection reads about 1 MiB of its database's own catalogs: with 1,000 databases in turn it takes half as
    long where all of these fit (docs/performance.md).
    """
    return min(4096, max(64, memory // 2**20 // 8))


def max_connections(memory: int) -> int:
    """Return how many connections a machine with `memory` bytes carries: 25 per GiB, 100 at least, 600 at most.

    A backend costs up to 2 MB (docs/performance.md), so this is about a twentieth of the memory.
    """
    return min(600, max(100, 25 * memory // 2**30))


def hba_text(*, admin_door: bool = False) -> str:
    """Return pg_hba.conf: who may connect to which database, and how each proves it; the superuser only by the door."""
    return _DOOR + _HBA if admin_door else _HBA


def throw_away_hba_text(role: str) -> str:
    """Return pg_hba.conf of a throw-away instance: `role` and nobody else, proved by our own account."""
    return f"local all {role} peer map={_MAP}\nlocal all all reject\n"


def closed_ident_text() -> str:
    """Return pg_ident.conf that makes nobody the superuser."""
    return "# MAP SYSTEM-USER PG-USER\n"


def ident_text(user: str, role: str = SUPERUSER) -> str:
    """Return pg_ident.conf: the account `user` may be `role`."""
    quoted = user.replace('"', '""')
    return f'# MAP SYSTEM-USER PG-USER\n{_MAP} "{quoted}" {role}\n'
