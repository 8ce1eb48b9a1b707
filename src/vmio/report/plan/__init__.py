"""A plan, and layouts ranked."""
