"""QEMU's own language, which every notation may use: options, block nodes, devices, traces."""
