"""What kind of storage a disk's data is on, as far as rules treat one kind unlike another."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["StorageKind", "find_storage_kind"]

StorageKind = Literal[
    "",
    "btrfs",
    "cifs",
    "dir",
    "iscsi",
    "krbd",
    "lvm",
    "nfs",
    "rbd",
    "thick-lvm",
    "thin-lvm",
    "zvol",
]
"""Empty where it is not known.

dir: a file system of the host; krbd: Ceph through the kernel's client, rbd: through QEMU's own;
lvm: a logical volume that can be thin or thick; iscsi: through QEMU's own initiator; zvol: a ZFS
volume.
"""

_ZVOL = re.compile(r"/dev/(?:zvol/.+|zd\d+(?:p\d+)?)", re.ASCII)
_KRBD = re.compile(r"/dev/rbd(?:(?:-pve)?/.+|\d+(?:p\d+)?)", re.ASCII)
_NAME = r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}"
_LOGICAL_VOLUME = re.compile(rf"/dev/({_NAME})/{_NAME}", re.ASCII)
_MAPPED = re.compile(
    r"/dev/mapper/(?:[A-Za-z0-9+_.]|--){1,253}-(?!part\d+\Z)(?:[A-Za-z0-9+_.]|--){1,253}", re.ASCII
)
"""A volume group and a logical volume, which device-mapper joins with one hyphen.

Their own hyphens are doubled. A partition of a multipath device ends in -part and its number.
"""
_OTHER_FOLDERS = frozenset(
    """
    bcache block bsg bus cciss char cpu disk dma_heap drbd dri etherd fd hugepages infiniband input
    loop longhorn mapper md mpath mqueue nbd net nvme pts raid raw rbd rbd-pve serial shm snd
    storpool storpool-byid usb v4l vfio virtio-ports vx zvol
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
"""Folders of /dev that are no volume group."""


def find_storage_kind(path: str) -> StorageKind:
    """Returns the kind of storage that a path on the host names; empty where it does not tell.

    Source: the links that udev makes for OpenZFS (zvol_id), Ceph (ceph-rbdnamer) and LVM
    (11-dm-lvm.rules; lvm(8) on names), and Proxmox VE's for rbd (pve-storage 9.1.7).
    """
    if not path.startswith("/dev/") or len(path) > 4096:  # noqa: PLR2004 - Linux's PATH_MAX
        return ""
    if _ZVOL.fullmatch(path):
        return "zvol"
    if _KRBD.fullmatch(path):
        return "krbd"
    volume = _LOGICAL_VOLUME.fullmatch(path)
    if _MAPPED.fullmatch(path) or (volume is not None and volume[1] not in _OTHER_FOLDERS):
        return "lvm"
    return ""
