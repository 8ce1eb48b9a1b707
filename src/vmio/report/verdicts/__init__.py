"""Verdicts about running guests, in words."""
