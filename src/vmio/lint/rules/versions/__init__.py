"""VE: defects of certain QEMU releases."""
