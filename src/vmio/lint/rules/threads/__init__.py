"""TH: whether the I/O threads that a configuration asks for exist and serve what they should."""
