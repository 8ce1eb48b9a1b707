"""Which devices a guest may boot from, and in which order.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["boot_indices"]

_DEVICE = re.compile(r"(ide|sata|scsi|virtio|net|usb|hostpci)\d+", re.ASCII)
_STEP = 100


def boot_indices(
    boot: str | None,
    bootdisk: str | None,
    drives: Iterable[tuple[str, bool]],
    nets: Iterable[str],
) -> Mapping[str, int]:
    """Returns the `bootindex` of every device that has one.

    Args:
        boot: The setting `boot`, None where it is not written or not valid.
        bootdisk: The setting `bootdisk`.
        drives: Every drive in Proxmox's order, with whether it is a cd-rom (a cloud-init drive is
            none, and counts as a disk).
        nets: Every network device, in order.
    """
    if boot is not None and not boot.strip():
        return {}
    order, letters = _parse_boot(boot or "")
    if order is not None and letters is None:
        return {device: _STEP + position for position, device in enumerate(order)}
    next_index = {
        letter: _STEP * (position + 1) for position, letter in enumerate(letters or "cdn")
    }
    indices: dict[str, int] = {}
    for drive, is_cdrom in drives:
        letter = "d" if is_cdrom else "c"
        if letter not in next_index:
            continue
        if is_cdrom or drive == bootdisk:
            indices[drive] = next_index[letter]
        next_index[letter] += 1
    if "n" in next_index:
        for position, net in enumerate(nets):
            indices[net] = next_index["n"] + position
    return indices


def _parse_boot(text: str) -> tuple[tuple[str, ...] | None, str | None]:
    """Returns the devices of `order=` and the letters, each None where it is not written."""
    order: tuple[str, ...] | None = None
    letters: str | None = None
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals:
            key, value = "legacy", key
        if key == "order":
            order = tuple(device for device in re.split(r"[;\s]+", value) if device)
            if not all(_DEVICE.fullmatch(device) for device in order):
                return None, None
        elif key == "legacy" and value:
            if not re.fullmatch(r"[acdn]{1,4}", value):
                return None, None
            letters = value
    return order, letters
