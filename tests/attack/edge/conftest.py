"""The fixtures of edge_listeners.py."""

from edge_listeners import *  # noqa: F403
