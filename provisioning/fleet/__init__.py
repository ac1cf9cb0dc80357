"""The schema upgrade of all tenants' databases: canaries first, resumable, never half-done."""
