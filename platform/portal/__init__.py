"""The customer web portal, one folder per domain."""
