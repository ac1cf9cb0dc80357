"""Proving who one is with more than a password: the second half of a sign-in, passkey sign-in, step-up."""
