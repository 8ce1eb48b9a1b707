"""Text to model and back: one home per notation, each blind to the others."""
