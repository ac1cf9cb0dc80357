"""Alembic revisions of the control database, run in process by `platform/control/migrate.py`."""
