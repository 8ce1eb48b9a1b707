"""What a guest would do, simulated."""
