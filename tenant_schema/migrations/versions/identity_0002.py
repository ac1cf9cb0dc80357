"""Devices, second factors, links, API tokens, webhooks, cards; retries of mail."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the statements of the file beside this one, in one round trip."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def downgrade() -> None:
    """Refuse: an earlier state is reached by restoring a backup."""
    raise RuntimeError("restore a backup instead")
