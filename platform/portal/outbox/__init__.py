"""The outbox in development: mail that was written to files, shown on the public site to whoever tries things out."""
