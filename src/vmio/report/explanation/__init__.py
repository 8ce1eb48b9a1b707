"""Explanations of what becomes of a disk, and why."""
