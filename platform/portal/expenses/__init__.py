"""Expenses: the list with its filters and totals, one expense with its receipts, create, edit, delete."""
