"""The way back to any second: base backups and the log of whole servers, and one workspace taken out of them."""
