"""Findings about a guest's configuration: rules, the engine that runs them, and their pages."""
