"""Text to model and back: one folder per notation, independent of the others."""
