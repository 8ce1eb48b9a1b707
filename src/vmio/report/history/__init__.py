"""What guests did over time, as text, JSON and a page."""
