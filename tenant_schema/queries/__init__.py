"""The one home of SQL over a tenant's database, a module per domain."""
