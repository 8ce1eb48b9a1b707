"""Predictions of a simulated guest."""
