"""The I/O-thread manager for QEMU/KVM guests."""

__all__ = ["__version__"]

__version__ = "0.1.0"
