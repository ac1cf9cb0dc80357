"""What a new workspace starts with."""

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from .ids import new_uuid7
from .tables import category

CATEGORIES = (
    "Travel",
    "Accommodation",
    "Meals and entertainment",
    "Office supplies",
    "Software and subscriptions",
    "Telephone and internet",
    "Equipment",
    "Professional services",
    "Training",
    "Rent and utilities",
    "Postage and printing",
    "Other",
)


def seed_categories(connection: Connection) -> None:
    """Add the categories that are missing, in this order; those that are there stay untouched."""
    rows = [{"id": new_uuid7(), "name": name, "position": position} for position, name in enumerate(CATEGORIES)]
    connection.execute(insert(category).on_conflict_do_nothing(index_elements=["name"]), rows)
