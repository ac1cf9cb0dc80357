"""What a restore puts into a new database: a backup's dump, or a moment of a recovered server."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from psycopg import sql

from ..config.errors import NotFoundError
from ..platform.control.platform import Platform
from ..platform.keys.blobs import Blobs, open_blobs
from ..platform.tenants.records import Tenant
from ..provisioning.names import MIGRATOR
from ..provisioning.sessions import migrator
from ..tenant_schema.tables import SCHEMA
from . import receipts
from .adapt import origin_of
from .archive.source import Recovered
from .copying import Copied, Original, Place, compare_copy, copy_content
from .header import Descriptor, ReceiptCopy, timestamp
from .progress import Watch, unwatched
from .records import Backup
from .stores.contract import Store
from .subject import identity_of, target_for
from .tools import restoring
from .verify import compare, read_dump


class Content(Protocol):
    """Fills a new database, and knows what must be in it."""

    @property
    def origin(self) -> Mapping[str, object]:
        """What the audit logs say about where the content is from."""
        ...

    @property
    def rows(self) -> int:
        """How many rows the content has."""
        ...

    @property
    def size(self) -> int | None:
        """How many bytes will be read to load it, where that is known."""
        ...

    def load(self, target: Place, watch: Watch = unwatched) -> None:
        """Fill `target`, which is prepared and empty; all or nothing. Raises `VerificationError`, `FailedError`.

        `watch` is told of the bytes that are read.
        """
        ...

    def compare(self, target: Place) -> None:
        """Raise `VerificationError` unless `target` holds exactly what it should."""
        ...

    def bring_receipts_back(self) -> int:
        """Put the receipts that the receipt store lacks back; return how many the content names."""
        ...

    def receipts(self) -> Blobs:
        """Return where the receipts can be read for a copy under other keys."""
        ...

    def receipt_count(self) -> int:
        """Return how many receipt objects the content names."""
        ...


@dataclass(frozen=True, slots=True)
class BackupContent:
    """The dump of a backup, with its manifest."""

    platform: Platform
    store: Store
    source: Tenant
    backup: Backup
    descriptor: Descriptor

    @property
    def origin(self) -> Mapping[str, object]:
        """Which backup it is."""
        return origin_of(self.backup)

    @property
    def rows(self) -> int:
        """Rows of the manifest."""
        return self.descriptor.manifest.rows

    @property
    def size(self) -> int | None:
        """Size of the object."""
        return self.descriptor.size

    def load(self, target: Place, watch: Watch = unwatched) -> None:
        """Restore the dump."""
        database, owner = target.names.database, target.names.owner
        with migrator(self.platform, target.server, database) as session:
            version = session.info.server_version
        with (
            target_for(self.platform, target.server, MIGRATOR, database) as programs,
            restoring(programs, f"--role={owner}", f"--schema={SCHEMA}", server_version=version) as archive,
        ):
            read_dump(self.store, self.descriptor, identity_of(self.platform, self.source.id), archive, watch)

    def compare(self, target: Place) -> None:
        """Compare with the manifest."""
        with migrator(self.platform, target.server, target.names.database) as session:
            session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(target.names.owner)))
            compare(self.descriptor, session)

    def bring_receipts_back(self) -> int:
        """Bring them from the backup store."""
        receipts.bring_back(self.platform, self.store, self.source.id, self.descriptor.receipts)
        return self.receipt_count()

    def receipts(self) -> Blobs:
        """Read them in the backup store."""
        return receipts.BackupBlobs(self.store, self.source.id)

    def receipt_count(self) -> int:
        """Receipts that the descriptor lists."""
        return len(self.descriptor.receipts)


@dataclass(slots=True)
class MomentContent:
    """A database as it was at a moment, in a server that `recovered` waits for."""

    platform: Platform
    store: Store
    source: Tenant
    recovered: Callable[[], Recovered]
    at: datetime
    copied: Copied | None = None
    named: list[ReceiptCopy] = field(default_factory=list[ReceiptCopy])

    @property
    def origin(self) -> Mapping[str, object]:
        """Which moment it is."""
        return {"point_in_time": self.at.isoformat(), "as_of": timestamp(self.at)}

    @property
    def rows(self) -> int:
        """Rows that were copied."""
        return self.copied.manifest.rows if self.copied else 0

    @property
    def size(self) -> int | None:
        """Not known before."""
        return None

    def load(self, target: Place, watch: Watch = unwatched) -> None:
        """Copy from the recovered server, uncounted."""
        del watch
        recovered = self.recovered()
        with recovered.session() as session:
            self.named = receipts.list_receipts(session)
            self.copied = copy_content(self.platform, Original(session, recovered.target), target)

    def compare(self, target: Place) -> None:
        """Compare with what the recovered server holds."""
        assert self.copied is not None
        compare_copy(self.platform, self.copied, target)

    def bring_receipts_back(self) -> int:
        """Bring those that were removed since from the backup store, where they are."""
        blobs = open_blobs(self.platform.settings)
        for receipt in self.named:
            with suppress(NotFoundError):  # uploaded and removed between two backups: its rows come back without it
                receipts.bring_back_one(blobs, self.store, self.source.id, receipt)
        return self.receipt_count()

    def receipts(self) -> Blobs:
        """Read them where they are, else in the backup store."""
        return _Either(open_blobs(self.platform.settings), self.store, self.source.id)

    def receipt_count(self) -> int:
        """Receipts that the rows name."""
        return len(self.named)


class _Either(receipts.BackupBlobs):
    """Receipts from the receipt store, and from the backup store what has been removed there since."""

    def __init__(self, live: Blobs, store: Store, tenant_id: str) -> None:
        super().__init__(store, tenant_id)
        self._live = live

    def get(self, name: str) -> bytes:
        try:
            return self._live.get(name)
        except NotFoundError:
            return super().get(name)
