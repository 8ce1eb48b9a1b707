"""The polling of a recorded event loop."""
