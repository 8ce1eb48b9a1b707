"""Edits that the fixes of several rules make."""

from __future__ import annotations

from vmio.formats.proxmox.writer import place_setting
from vmio.model.source import Edit
from vmio.model.vm import Vm

__all__ = ["set_scsihw"]


def set_scsihw(vm: Vm, value: str) -> tuple[Edit, ...]:
    """Returns the edit that sets `scsihw`: in its line, or in a new one in Proxmox's order."""
    return (place_setting(vm.source, vm.spans, "scsihw", value),) if vm.spans else ()
