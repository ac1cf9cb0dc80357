"""PostgreSQL servers: the embedded one's life, the programs, the roles and gates that every server gets."""
