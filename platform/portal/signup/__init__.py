"""The public site: what the product is, sign-up, and the way to an existing workspace."""
