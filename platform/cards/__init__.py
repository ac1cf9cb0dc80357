"""Payment cards: only token, brand and last four digits of one are kept, and numbers in free text are masked."""
