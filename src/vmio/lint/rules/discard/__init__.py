"""DI: discard and the detection of zeroes."""
