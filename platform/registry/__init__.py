"""Host name → tenant → connection with the tenant's own credential. The way in is `registry.Registry`."""
