"""Two layouts of a guest, measured and compared."""
