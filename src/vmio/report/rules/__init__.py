"""Rules as a report."""
