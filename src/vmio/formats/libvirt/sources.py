"""What libvirt refuses of a disk by what it is: a device passed on, a copy, a server's image.

Source: libvirt 11.3.0, run with domains that each have one fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vmio.formats.libvirt.domain import Disk, Image

__all__ = ["check_copies", "check_passed_on", "check_servers", "check_vhost_user"]

_CHAINLESS: Final = frozenset({"bochs", "cloop", "dmg", "ploop", "vdi", "vpc"})
"""Formats whose images are overlays of no other."""
_NO_TLS: Final = frozenset(
    {"ftp", "ftps", "gluster", "http", "https", "iscsi", "nfs", "rbd", "ssh"}
)
_NOT_VHOST_USER: Final = [
    "auth",
    "backingStore",
    "blockio",
    "encryption",
    "geometry",
    "iotune",
    "product",
    "readonly",
    "serial",
    "shareable",
    "transient",
    "vendor",
    "wwn",
]
"""Elements that a disk with a driver in another process cannot have."""
_NOT_VHOST_USER_DRIVER: Final = [
    "cache",
    "copy_on_read",
    "detect_zeroes",
    "discard",
    "error_policy",
    "io",
    "ioeventfd",
]
"""Attributes of its driver, as above."""


def check_vhost_user(disk: Disk) -> Iterator[str]:
    """Yields what libvirt says of a disk whose driver is another process."""
    if disk.image.kind != "vhostuser":
        return
    if disk.bus != "virtio":
        yield "vhostuser disk supports only virtio bus"
    if (disk.element.get("snapshot") or "no") != "no":
        yield "only snapshot=no is supported with vhostuser disk"
    found = [name for name in _NOT_VHOST_USER if disk.element.find(name) is not None]
    found += [name for name in _NOT_VHOST_USER_DRIVER if name in disk.driver]
    found += ["error_policy"] if "rerror_policy" in disk.driver else []
    for name in found:
        yield f"{name} is not supported with vhostuser disk"


def check_passed_on(disk: Disk) -> Iterator[str]:
    """Yields what libvirt says of a device that is passed on to the guest, or is said to be."""
    is_lun = disk.device == "lun"
    if disk.element.get("rawio") is not None and not is_lun:
        yield "rawio can be used only with device='lun'"
    if disk.element.get("sgio") == "unfiltered":
        yield "unfiltered sgio is no longer supported"
    if disk.element.get("sgio") is not None and not is_lun:
        yield "sgio can be used only with device='lun'"
    source = disk.image.source
    if source is not None and source.find("reservations") is not None and not is_lun:
        yield "<reservations/> allowed only for lun devices"
    if is_lun:
        yield from _check_lun(disk)


def _check_lun(disk: Disk) -> Iterator[str]:
    if disk.wwn:
        yield "Setting wwn is not supported for lun device"
    if disk.vendor or disk.product:
        yield "Setting vendor or product is not supported for lun device"
    if disk.image.encryption:
        yield "disk device 'lun' doesn't support encryption"
    if disk.image.slice is not None:
        yield "disk device 'lun' doesn't support storage slice"
    if disk.driver.get("copy_on_read") == "on":
        yield f"copy_on_read is not compatible with 'lun' disk '{disk.target}'"


def check_copies(disk: Disk) -> Iterator[str]:
    """Yields what libvirt says of what a disk's data is copied to, or comes from."""
    if disk.driver.get("copy_on_read") == "on" and disk.is_removable_medium:
        yield f"copy_on_read is not supported with removable disk '{disk.target}'"
    policy = disk.image.source.get("startupPolicy") if disk.image.source is not None else None
    if policy is not None:
        if disk.image.kind == "network":
            yield f"disk startupPolicy '{policy}' is not allowed for disk of 'network' type"
        elif policy == "requisite" and not disk.is_removable_medium:
            yield "disk startupPolicy 'requisite' is allowed only for cdrom or floppy"
    yield from _check_geometry(disk)
    yield from _check_transient(disk)


def _check_geometry(disk: Disk) -> Iterator[str]:
    if not {"cyls", "heads", "secs"} <= disk.geometry.keys():
        return
    if disk.bus == "usb":
        yield f"CHS geometry can not be set for '{disk.bus}' bus"
    if "bios-chs-trans" in disk.geometry and disk.bus != "ide":
        yield f"CHS translation mode can only be set for 'ide' bus not '{disk.bus}'"


def _check_transient(disk: Disk) -> Iterator[str]:
    transient = disk.element.find("transient")
    if transient is None:
        return
    if disk.image.is_empty:
        yield f"transient disk '{disk.target}' must not be empty"
    if disk.read_only:
        yield f"transient disk '{disk.target}' must not be read-only"
    if disk.image.kind != "file":
        yield f"transient disk supported only with 'file' type ({disk.target})"
    if disk.device != "disk":
        yield f"transient disk supported only with 'disk' device ({disk.target})"


def check_servers(disk: Disk) -> Iterator[str]:
    """Yields what libvirt says of the parts of sources that only some kinds have."""
    image: Image | None = disk.image
    while image is not None:
        yield from _check_image(image)
        image = image.backing


def _check_image(image: Image) -> Iterator[str]:
    source = image.source
    protocol = (source.get("protocol") or "") if image.kind == "network" and source else ""
    if image.auth is not None and image.kind not in {"network", "volume"}:
        yield "authentication is supported only for network backed disks"
    if image.encryption:
        if image.encrypted_by == "librbd" and protocol != "rbd":
            yield "librbd encryption is supported only with RBD backed disks"
        if image.format not in {"raw", "qcow2"}:
            yield "encryption is supported only with 'raw' and 'qcow2' image format"
    if image.kind == "nvme" and source is not None and source.get("namespace") == "0":
        yield "NVMe namespace can't be zero"
    if image.backing is not None and image.format in _CHAINLESS:
        yield f"storage format '{image.format}' does not support backing store"
    is_place = protocol not in {"gluster", "rbd"} or "/" in image.path[1:]
    if source is not None and source.get("tls") == "yes" and protocol in _NO_TLS and is_place:
        yield f"TLS transport is not supported for disk protocol '{protocol}'"
    if image.data is not None:
        yield from _check_data(image, image.data)


def _check_data(image: Image, data: Image) -> Iterator[str]:
    if image.format != "qcow2":
        yield "<dataStore> feature available only with qcow2 images"
    if data.format != "raw":
        yield "only 'raw' images supported as <dataStore>"
    if data.slice is not None:
        yield "slices are not supported for <dataStore>"
