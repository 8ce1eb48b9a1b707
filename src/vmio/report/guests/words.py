"""What people call the managers of guests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vmio.managers.owners import Manager

__all__ = ["MANAGERS"]

MANAGERS: Final[Mapping[Manager, str]] = {
    "proxmox": "Proxmox",
    "libvirt": "libvirt",
    "kubevirt": "KubeVirt",
    "none": "by hand",
}
