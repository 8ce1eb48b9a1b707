"""Who uses a disk's setting, drops it, or chooses its value by default."""

from __future__ import annotations

from typing import Final

__all__ = ["GUEST", "MANAGER", "QEMU", "Actor"]

Actor = str
"""`GUEST`, `QEMU`, or a notation's name, which stands for who reads it."""

GUEST: Final = "guest"
QEMU: Final = "qemu"
MANAGER: Final = "manager"
"""Whoever reads the notation that is in hand."""
