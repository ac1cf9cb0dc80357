"""How well each workspace is protected: what its plan promises about backups, and whether that is kept."""
