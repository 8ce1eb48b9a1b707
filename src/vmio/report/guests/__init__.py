"""The running guests of a host as a report."""
