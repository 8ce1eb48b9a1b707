"""What a guest is booted as, besides its storage."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["Chipset", "Machine"]

Chipset = Literal["i440fx", "q35", "virt"]


class Machine(Struct, frozen=True, kw_only=True):
    """The machine of a guest, in QEMU's terms."""

    name: str
    """What its process and its windows are called."""
    type: str = ""
    """As `-machine type=` takes it; empty for the newest of its chipset."""
    chipset: Chipset = "i440fx"
    arch: str = "x86_64"
    vcpus: int = 1
    memory_mib: int = 512
