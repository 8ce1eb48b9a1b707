"""Finds the best layout and parameters of a guest by measuring, in few trials."""
