"""The pages on which a workspace says which of its own machines hear what happens."""
