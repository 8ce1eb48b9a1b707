"""Two command lines compared."""
