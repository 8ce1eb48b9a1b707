"""By what a text is known to be in one notation or another."""

from __future__ import annotations

from vmio.formats.qemu.argv import is_command
from vmio.model.source import Source
from vmio.model.vm import Notation

__all__ = ["recognise"]


def recognise(source: Source) -> Notation:
    """Returns the notation of a text; what is like nothing else is taken for a Proxmox config."""
    return "qemu" if is_command(source) else "proxmox"
