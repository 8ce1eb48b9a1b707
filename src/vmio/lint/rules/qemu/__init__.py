"""Rules that are about QEMU command lines alone, of every family."""
