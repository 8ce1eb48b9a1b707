"""Plans, and ranked layouts."""
