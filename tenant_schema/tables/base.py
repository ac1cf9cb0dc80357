"""What all tables share: the schema, names of constraints, and columns that recur.

Columns of type `Sealed` hold AES-256-GCM ciphertext bound to their row; a `*_index` column beside one is a keyed hash
for look-up by equality. Primary keys are UUIDv7 made by the application: the row's id is part of what is sealed.
"""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, MetaData, Uuid, func

SCHEMA = "app"
metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def row_id() -> Column[object]:
    """The primary key `id`."""
    return Column("id", Uuid, primary_key=True)


def at(name: str, *, nullable: bool = False) -> Column[object]:
    """A time with its zone; one that may not be null is now where none is given."""
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=None if nullable else func.now())


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """The constraint that a text column holds one of `values`."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=column)


def ref(name: str, target: str, *, nullable: bool = False, index: bool = False) -> Column[object]:
    """A reference to the row of another table."""
    return Column(name, Uuid, ForeignKey(f"{SCHEMA}.{target}.id"), nullable=nullable, index=index)
