"""What operators did, in the control database. What customers did is in each workspace's own database."""
