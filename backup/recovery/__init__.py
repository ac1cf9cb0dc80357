"""Recovery from nothing: an empty machine, the backups, and the master key from escrow."""
