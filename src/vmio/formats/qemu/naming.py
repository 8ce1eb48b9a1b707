"""The names of the model's settings in QEMU's own options.

Source: QEMU 10.0, its manual page for `-drive`, `-blockdev` and `-device`.
"""

from __future__ import annotations

from typing import Final

from vmio.model.vm import Vm

__all__ = ["name_setting"]

_NODE_CACHES: Final = {
    "directsync": "cache.direct=on and write-cache=off",
    "none": "cache.direct=on",
    "unsafe": "cache.no-flush=on",
    "writeback": "cache.direct=off,cache.no-flush=off",
    "writethrough": "write-cache=off",
}
"""A drive's cache mode as properties of a node, or of the device if a node has none."""


def name_setting(vm: Vm, subject: str, name: str, value: str | None = None) -> str:
    """Returns a setting's name in a command line, with a value if one is given: `cache=none`.

    Args:
        vm: The guest.
        subject: The disk that has the setting.
        name: Its name in the model.
        value: The value in the model's form; None for the name alone.
    """
    match name, value:
        case "cache", None:
            return "cache.direct" if _is_node(vm, subject) else "cache"
        case "cache", _ if _is_node(vm, subject):
            return _NODE_CACHES[str(value)]
        case "controllers", _:
            return "a virtio-scsi device for each disk"
        case "iothread", "own":
            return "iothread=ID"
        case "qemu_options", _:
            return "the other options"
        case "queues", _:
            name = "num-queues" if _is_virtio_blk(vm, subject) else "num_queues"
        case "shared_memory", _:
            return "a memory backend with share=on"
        case "ssd", _:
            name = "rotation_rate"
        case "detect_zeroes" | "write_cache", _:
            name = name.replace("_", "-")
        case _:
            pass
    return name if value is None else f"{name}={value}"


def _is_node(vm: Vm, disk: str) -> bool:
    """Returns whether a disk's medium is a `-blockdev`, which has no cache modes."""
    devices = (each for each in vm.options if each.name == "device" and each.id == disk)
    drives = {each.properties.get("drive", "") for each in devices} or {disk}
    return any(each.name == "blockdev" and each.id in drives for each in vm.options)


def _is_virtio_blk(vm: Vm, disk: str) -> bool:
    return any(each.id == disk and each.bus == "virtio" for each in vm.disks)
