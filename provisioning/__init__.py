"""Makes, clones, moves, suspends and removes tenants' databases, and proves that they are apart."""
