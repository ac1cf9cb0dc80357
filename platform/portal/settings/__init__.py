"""Settings of a workspace and of the member who is signed in."""
