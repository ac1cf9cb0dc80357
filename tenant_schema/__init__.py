"""A tenant's own database: tables, migrations and the queries over them."""
