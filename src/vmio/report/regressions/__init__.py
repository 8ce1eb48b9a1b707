"""What changed from one saved comparison to a later one."""
