"""The peers' tables: the same ones as our tenants have, and the rows that each tenant begins with."""

import uuid
from typing import Any

from sqlalchemy import BLANK_SCHEMA, Column, Index, Integer, MetaData, Table, UniqueConstraint, bindparam, select

from strongroom.tenant_schema.tables import metadata as ours

NAME = "Travel"
_NAMES = ("Hotels", "Meals", "Office", "Software", "Training", "Telephone", NAME, "Other")


def own_tables() -> MetaData:
    """Our tables as they are, for a database or schema per tenant."""
    metadata = MetaData()
    for table in ours.sorted_tables:
        table.to_metadata(metadata, schema=None, referred_schema_fn=lambda *_: BLANK_SCHEMA)
    return metadata


def shared_tables() -> MetaData:
    """Our tables with a column that says whose a row is, indexed, for all tenants together."""
    metadata = MetaData()
    for table in ours.sorted_tables:
        columns = [Column(column.name, column.type, primary_key=column.primary_key) for column in table.columns]
        shared = Table(table.name, metadata, Column("tenant_id", Integer, nullable=False), *columns)
        Index(f"ix_{table.name}_tenant_id", shared.c.tenant_id)
    category = metadata.tables["category"]
    category.append_constraint(UniqueConstraint(category.c.tenant_id, category.c.name))
    return metadata


def first_rows(index: int) -> list[dict[str, Any]]:
    """The categories of a new tenant; `position` is the marker by which its answers are known."""
    return [{"id": uuid.uuid4(), "name": name, "active": True, "position": index} for name in _NAMES]


def marker_query(metadata: MetaData) -> Any:
    """One indexed row, in SQLAlchemy Core, built once."""
    category = metadata.tables["category"]
    return select(category.c.position).where(category.c.name == bindparam("name", NAME))
