"""What the autopilot does and has done, for people and as JSON."""
