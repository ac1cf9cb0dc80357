"""The proxy in front of the web processes: its configuration, written for nginx or HAProxy."""
