"""Counted tries, payment methods, events of the payment processor, plans that require a second factor."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the statements of the file beside this one, in one round trip."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: an earlier state is reached by restoring a backup."""
    raise RuntimeError("restore a backup instead")
