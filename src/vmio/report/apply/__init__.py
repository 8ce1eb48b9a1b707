"""Changes that were made, and taken back."""
