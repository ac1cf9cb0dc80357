"""What a base backup is: the JSON document that is written when everything else of it is durable."""

import hmac
import json
from dataclasses import asdict, dataclass
from typing import Any

from ...config.errors import RefusedError, VerificationError
from .pieces import mac

FORMAT = 1
_DAMAGED = "The descriptor of the base backup is damaged or belongs to another one."


@dataclass(frozen=True, slots=True)
class Part:
    """One object of a base backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BaseDescriptor:
    """One base backup. `parts` are by name: `cluster` and the numbers of the databases."""

    base_id: str
    server: str
    system_id: str
    server_version: int
    timeline: int
    segment_bytes: int  # of one piece of the log
    start_wal: str
    stop_wal: str
    started_at: str  # RFC 3339
    stopped_at: str
    label: str  # PostgreSQL's backup_label: without that file the data must not be started
    databases: dict[str, str]  # name → number
    templates: list[str]  # numbers of the databases that others are copied from
    parts: dict[str, Part]

    def encode(self, identity: str) -> bytes:
        """Return the document, with the code that proves it."""
        document = {"format": FORMAT, **asdict(self)}
        return json.dumps(document | {"mac": mac(document, identity)}, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def decode(cls, content: bytes, identity: str) -> "BaseDescriptor":
        """Check and read a document. Raises `VerificationError`, or `RefusedError` for a newer format."""
        try:
            document: dict[str, Any] = json.loads(content)
            found = str(document.pop("mac"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VerificationError(_DAMAGED) from error
        if not hmac.compare_digest(found.encode(), mac(document, identity).encode()):
            raise VerificationError(_DAMAGED)
        if document.pop("format") != FORMAT:
            raise RefusedError("The base backup has a format that this version does not know.")
        parts = {name: Part(**part) for name, part in document.pop("parts").items()}
        return cls(**document, parts=parts)
