"""Sign in, sign out, accept an invitation."""
