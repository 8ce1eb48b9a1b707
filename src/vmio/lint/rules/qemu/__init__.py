"""Rules of every family that are only about QEMU command lines."""
