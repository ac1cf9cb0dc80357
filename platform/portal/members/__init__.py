"""Members of a workspace: who they are, which role they have, who is invited."""
