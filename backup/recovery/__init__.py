"""From a backup store and the master key back to a platform with all its workspaces."""
