"""The web: application factory and what every page shares, whatever its domain."""
