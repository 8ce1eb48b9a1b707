"""Which thread serves which disk."""
