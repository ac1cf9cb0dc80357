"""Names of the archive's objects. Specified in docs/backup-format.md.

Each server's data has a folder of its own by its system identifier, so that a server that was made anew under an old
name never continues another one's log. The pieces of one day lie together, because one key opens them.
"""

from datetime import UTC, datetime

ROOT = "servers"
_SEGMENT = 24  # hexadecimal digits: timeline, log, piece


def day_of(moment: datetime) -> str:
    """Return the day, in UTC, that names a key: `20260131`."""
    return f"{moment.astimezone(UTC):%Y%m%d}"


def start_of(day: str) -> datetime:
    """Return when a day began."""
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)


def home(server: str, system_id: str) -> str:
    """Return the folder of everything of one server's data."""
    return f"{ROOT}/{server}/{system_id}"


def log_folder(server: str, system_id: str, day: str) -> str:
    """Return the folder of the pieces of the log that one day's key opens."""
    return f"{home(server, system_id)}/wal/{day}"


def piece_object(server: str, system_id: str, day: str, piece: str) -> str:
    """Return the name of the object that holds a piece of the log, which PostgreSQL names in capitals."""
    return f"{log_folder(server, system_id, day)}/{piece.lower()}.age"


def base_folder(server: str, system_id: str, base_id: str) -> str:
    """Return the folder of a base backup."""
    return f"{home(server, system_id)}/base/{base_id}"


def part_object(folder: str, part: str) -> str:
    """Return the name of a base backup's part: `cluster`, or the number of a database."""
    return f"{folder}/{part}.age"


def descriptor_object(folder: str) -> str:
    """Return the name of a base backup's descriptor, which is written last."""
    return f"{folder}/base.json"


def is_segment(piece: str) -> bool:
    """Say whether a piece is one of the log itself, not a history or a label."""
    return len(piece) == _SEGMENT and "." not in piece


def next_segment(piece: str, size: int) -> str:
    """Return the piece after this one; `size` is that of a piece, in bytes."""
    per_log = 2**32 // size
    number = int(piece[8:16], 16) * per_log + int(piece[16:], 16) + 1
    return f"{piece[:8]}{number // per_log:08X}{number % per_log:08X}"
