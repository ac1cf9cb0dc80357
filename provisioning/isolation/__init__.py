"""Proof that tenants are apart: the standing gate over catalogs, and real attacks as the tenants' own roles."""
