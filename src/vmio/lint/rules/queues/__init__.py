"""QU: virtqueues."""
