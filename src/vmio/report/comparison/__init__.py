"""A guest measured with two layouts."""
