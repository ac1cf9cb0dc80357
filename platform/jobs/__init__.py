"""The job queue, which lives in the control database."""
