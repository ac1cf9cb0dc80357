"""Strongroom: expense management with a PostgreSQL database of its own for each customer account."""
