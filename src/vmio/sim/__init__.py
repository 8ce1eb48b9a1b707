"""QEMU's event loop and its adaptive polling: the algorithm, recordings checked, predictions."""
