"""What the control database knows of all processes, for `status` and for the collectors of metrics."""
