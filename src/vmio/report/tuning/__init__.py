"""What a search for better layouts and parameters has found."""
