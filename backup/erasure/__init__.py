"""Erasing an account down to its backups, with a certificate; forgetting a person in one that goes on."""
