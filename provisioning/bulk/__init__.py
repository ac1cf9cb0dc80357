"""Many workspaces at once, from a list."""
