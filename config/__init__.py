"""Settings, logging and the exception tree: what every other part may know."""
