"""Imports: expenses from a CSV file, all or nothing."""
