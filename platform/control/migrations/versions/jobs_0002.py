"""The job queue: tables and functions of procrastinate, as the pinned version of that library ships them."""

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the library's schema file."""
    statements = SchemaManager.get_schema()
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: an earlier state is reached by restoring a backup."""
    raise RuntimeError("restore a backup of the control database instead")
