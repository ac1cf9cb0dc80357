"""PgBouncer in front of a server: tenants' connections only, each with its own login."""
