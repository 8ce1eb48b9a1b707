"""What running guests do at the moment, as a report."""
