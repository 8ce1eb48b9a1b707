"""Which devices a guest may boot from, and in which order.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vmio.formats.proxmox.properties import read_properties, split_list

__all__ = ["boot_indices", "list_boot_devices"]

_STEP = 100


def boot_indices(
    boot: str | None,
    bootdisk: str | None,
    drives: Iterable[tuple[str, bool]],
    nets: Iterable[str],
) -> Mapping[str, int]:
    """Returns the `bootindex` of every device that has one.

    Args:
        boot: The setting `boot`, None if it is missing or not valid.
        bootdisk: The setting `bootdisk`.
        drives: Every drive in Proxmox's order, with whether it is a cd-rom (a cloud-init drive
            counts as a disk).
        nets: Every network device, in order.
    """
    parts = read_properties("boot", boot) if boot is not None else {"legacy": "cdn"}
    if "legacy" not in parts:
        devices = split_list(parts.get("order", ""))
        return {device: _STEP + position for position, device in enumerate(devices)}
    letters = parts["legacy"]
    next_index = {letter: _STEP * (position + 1) for position, letter in enumerate(letters)}
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


def list_boot_devices(settings: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Returns the setting that names the devices to boot from, and their names in order."""
    boot = settings.get("boot")
    parts = read_properties("boot", boot) if boot is not None else {"legacy": "cdn"}
    if "legacy" not in parts:
        return "boot", tuple(split_list(parts.get("order", "")))
    disk = settings.get("bootdisk") if "c" in parts["legacy"] else None
    return "bootdisk", (disk,) if disk else ()
