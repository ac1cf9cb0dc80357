"""Where backups lie: one contract (`contract.py`), one module for each kind of store."""
