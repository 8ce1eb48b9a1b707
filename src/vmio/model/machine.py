"""The machine that a guest is booted with, besides its storage."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["Chipset", "Machine"]

Chipset = Literal["i440fx", "q35", "virt"]


class Machine(Struct, frozen=True, kw_only=True):
    """The machine of a guest, in QEMU's terms."""

    name: str
    """The name of its process and its windows."""
    type: str = ""
    """The value of `-machine type=`; empty for the newest of its chipset."""
    chipset: Chipset = "i440fx"
    arch: str = "x86_64"
    vcpus: int = 1
    memory_mib: int = 512
