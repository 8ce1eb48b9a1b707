"""LI: throttling limits."""
