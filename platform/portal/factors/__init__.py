"""Second factors of members: authenticator app, passkeys, recovery codes; adding, removing, resetting them."""
