"""Erasing an account for good, with a certificate; and forgetting one person in a workspace that goes on."""
