"""Receipts: what may be uploaded, how it is cleaned and sealed, and how it is shown again."""
