"""The pictures of the page about polling."""
