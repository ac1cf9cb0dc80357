"""The JSON API of a workspace, under `/api/v1`: an application of its own that knows tokens and no cookies."""
