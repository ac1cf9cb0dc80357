"""The way back in: a forgotten password, and an account over its limit of tries. Both by a link in a mail."""
