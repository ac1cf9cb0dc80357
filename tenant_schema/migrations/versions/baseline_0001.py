"""First revision: tables, indexes and the triggers that keep what is approved or audited as it is."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the statements of the file beside this one, in one round trip."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: an earlier state is reached by restoring a backup."""
    raise RuntimeError("there is nothing before the first revision")
