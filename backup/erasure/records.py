"""One erasure: where it is, and what it has found and removed so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...config.errors import VerificationError

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Erasure:
    """The row of one erasure. `step` is the last one that is done; empty: none yet."""

    tenant_id: str
    step: str
    operator: str
    requested_at: datetime
    finished_at: datetime | None
    detail: Document
    certificate: Document | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """A signed document that says what was destroyed and what is left of it, until when."""

    document: Mapping[str, Any]

    @property
    def account(self) -> Mapping[str, Any]:
        """Id, address and name of the account, as its controller knows it."""
        return self.document["account"]

    @property
    def number(self) -> str:
        """What the certificate is called by."""
        return str(self.document["number"])


def read_certificate(document: object) -> Certificate:
    """Return a certificate from a JSON document. Raises `VerificationError` if it is none."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:  # pyright: ignore[reportUnknownMemberType]
        raise VerificationError("This is not an erasure certificate of Strongroom.")
    return Certificate(document)  # pyright: ignore[reportUnknownArgumentType]  # JSON


FORMAT = "strongroom-erasure-certificate-1"
