"""Devices, second factors, links, API tokens, webhooks, cards; retries of mail."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the statements of the file beside this one; as text, too, which is how a fleet is upgraded."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: an earlier state is reached by restoring a backup."""
    raise RuntimeError("restore a backup instead")
