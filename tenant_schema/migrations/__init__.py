"""Alembic revisions of a tenant's database, run in process by `tenant_schema/migrate.py`."""
