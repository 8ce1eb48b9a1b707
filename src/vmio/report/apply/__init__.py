"""Changes applied and undone."""
