"""PostgreSQL servers that tenants' databases live on."""
