"""Tokens of the API: made, listed, revoked."""
