"""PL: where threads run on the host's processors."""
