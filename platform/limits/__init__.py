"""Counting tries: in the control database or in Redis for all processes together, in memory while that is down."""
