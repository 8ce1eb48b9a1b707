"""The facts of a host as a report."""
