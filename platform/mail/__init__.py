"""Mail: queued in the workspace's own database with the change that it tells of, delivered after the commit."""
