"""The settings that are lists of `key=value`, besides the drives: what each may say.

Source: qm.conf(5) of Proxmox VE 9 and qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from vmio.formats.proxmox.cpu_models import VM_FLAGS
from vmio.formats.proxmox.schema import (
    EFIDISK_OPTIONS,
    TPMSTATE_OPTIONS,
    Option,
    any_text,
    at_least,
    between,
    check_boolean,
    check_number,
    matching,
    one_of,
)

__all__ = ["Properties", "check_property", "read_properties"]

Check = Callable[[str], str]
Properties = Mapping[str, str]
"""A setting's parts by their own names, aliases resolved."""


class _Format(NamedTuple):
    """What one kind of setting may hold."""

    options: Mapping[str, Check]
    default: str = ""
    """The option that a part without a key is; empty if there is none."""
    required: tuple[str, ...] = ()


def _checks(options: Mapping[str, Option]) -> dict[str, Check]:
    """Returns the checks of options under their own names."""
    return {name: option.check for name, option in options.items() if not option.name}


def _check_boot_order(value: str) -> str:
    for device in re.split(r"[;\s]+", value.strip()):
        if device and not _BOOT_DEVICE.fullmatch(device):
            return f"invalid format - invalid boot device '{device}'"
    return ""


def _check_mac(value: str) -> str:
    if _MAC.fullmatch(value):
        return ""
    return "invalid format - value does not look like a valid unicast MAC address"


def _check_dns_name(value: str) -> str:
    if all(_DNS_LABEL.fullmatch(label) for label in value.split(".")):
        return ""
    return "invalid format - value does not look like a valid DNS name"


_BOOT_DEVICE = re.compile(r"(?:ide|sata|scsi|virtio|net|usb|hostpci)\d{1,2}", re.ASCII)
_DNS_LABEL = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?", re.ASCII)
_NIC_MODELS = (
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
)
_MAC = re.compile(r"[0-9a-fA-F][02468aceACE](?::[0-9a-fA-F]{2}){5}", re.ASCII)
_HEX_ID = matching(r"0x[0-9a-fA-F]{4}")
_NODES = r"\d{1,9}(?:-\d{1,9})?(?:;\d{1,9}(?:-\d{1,9})?)*"
_CPU_FLAG = rf"[+-](?:{'|'.join(sorted(VM_FLAGS))})"
_CPU: Mapping[str, Check] = {
    "cputype": any_text,
    "reported-model": any_text,
    "hidden": check_boolean,
    "hv-vendor-id": matching(r"[a-zA-Z0-9]{1,12}"),
    "flags": matching(rf"{_CPU_FLAG}(?:;{_CPU_FLAG})*"),
    "phys-bits": matching(r"host|[1-9]\d?"),
    "guest-phys-bits": between(32, 64),
    "level": between(1, 2147483647),
}
_FORMATS: Mapping[str, _Format] = {
    "net[n]": _Format(
        {
            "model": one_of(*_NIC_MODELS),
            "macaddr": _check_mac,
            "bridge": matching(r"[-_.\w\d]+"),
            "firewall": check_boolean,
            "host-tunnel": check_boolean,
            "link_down": check_boolean,
            "mtu": between(1, 65520),
            "queues": between(0, 64),
            "rate": check_number,
            "tag": between(1, 4094),
            "trunks": matching(r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*"),
        },
        "model",
        ("model",),
    ),
    "cpu": _Format(_CPU, "cputype"),
    "vga": _Format(
        {
            "type": one_of(
                "cirrus",
                "none",
                "qxl",
                "qxl2",
                "qxl3",
                "qxl4",
                "serial0",
                "serial1",
                "serial2",
                "serial3",
                "std",
                "virtio",
                "virtio-gl",
                "vmware",
            ),
            "memory": between(4, 512),
            "clipboard": one_of("vnc"),
        },
        "type",
    ),
    "agent": _Format(
        {
            "enabled": check_boolean,
            "fstrim_cloned_disks": check_boolean,
            "freeze-fs": check_boolean,
            "freeze-fs-on-backup": check_boolean,
            "guest-fsfreeze": check_boolean,
            "type": one_of("virtio", "isa"),
        },
        "enabled",
        ("enabled",),
    ),
    "machine": _Format(
        {
            "type": matching(
                r"pc|pc(?:-i440fx)?-\d{1,3}(?:\.\d{1,3})+(?:\+pve\d{1,3})?(?:\.pxe)?"
                r"|(?:pc|q35|virt)(?:\+pve\d{1,3})?"
                r"|pc-q35-\d{1,3}(?:\.\d{1,3})+(?:\+pve\d{1,3})?(?:\.pxe)?"
                r"|virt(?:-\d{1,3}(?:\.\d{1,3})+)?(?:\+pve\d{1,3})?"
            ),
            "viommu": one_of("intel", "virtio"),
            "aw-bits": between(32, 64),
            "enable-s3": check_boolean,
            "enable-s4": check_boolean,
        },
        "type",
    ),
    "boot": _Format(
        {
            "legacy": matching(r"[acdn]{1,4}"),
            "order": _check_boot_order,
        },
        "legacy",
    ),
    "memory": _Format({"current": at_least(16)}, "current", ("current",)),
    "numa[n]": _Format(
        {
            "cpus": matching(_NODES),
            "hostnodes": matching(_NODES),
            "memory": check_number,
            "policy": one_of("preferred", "bind", "interleave"),
        },
        required=("cpus",),
    ),
    "usb[n]": _Format(
        {
            "host": matching(
                r"spice|(?:0x)?[0-9A-Fa-f]{4}:(?:0x)?[0-9A-Fa-f]{4}|\d+-\d+(?:\.\d+)*"
            ),
            "mapping": matching(r"[a-zA-Z][\w\-]+"),
            "usb3": check_boolean,
        },
        "host",
    ),
    "hostpci[n]": _Format(
        {
            "host": matching(
                r"(?:[0-9a-fA-F]{4,}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-9a-fA-F])?"
                r"(?:;(?:[0-9a-fA-F]{4,}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-9a-fA-F])?)*"
            ),
            "mapping": matching(r"[a-zA-Z][\w\-]+"),
            "mdev": matching(r"[^/.:]+"),
            "driver": one_of("vfio", "keep"),
            "pcie": check_boolean,
            "rombar": check_boolean,
            "romfile": matching(r"[^,;/]+"),
            "x-vga": check_boolean,
            "legacy-igd": check_boolean,
            "vendor-id": _HEX_ID,
            "device-id": _HEX_ID,
            "sub-vendor-id": _HEX_ID,
            "sub-device-id": _HEX_ID,
        },
        "host",
    ),
    "rng": _Format(
        {
            "source": one_of("/dev/urandom", "/dev/random", "/dev/hwrng"),
            "max_bytes": at_least(0),
            "period": at_least(0),
        },
        "source",
        ("source",),
    ),
    "audio": _Format(
        {
            "device": one_of("ich9-intel-hda", "intel-hda", "AC97"),
            "driver": one_of("spice", "none"),
        },
        required=("device",),
    ),
    "watchdog": _Format(
        {
            "model": one_of("i6300esb", "ib700"),
            "action": one_of("reset", "shutdown", "poweroff", "pause", "debug", "none"),
        },
        "model",
    ),
    "ivshmem": _Format(
        {"size": at_least(1), "name": matching(r"[a-zA-Z0-9\-]+")}, required=("size",)
    ),
    "spice_enhancements": _Format(
        {"foldersharing": check_boolean, "videostreaming": one_of("off", "all", "filter")}
    ),
    "smbios": _Format(
        {
            "uuid": matching(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
            "base64": check_boolean,
        }
        | dict.fromkeys(
            ("family", "manufacturer", "product", "serial", "sku", "version"),
            matching(r"[A-Za-z0-9+/]*={0,2}|\S+"),
        )
    ),
    "efidisk0": _Format(_checks(EFIDISK_OPTIONS), "file", ("file",)),
    "tpmstate0": _Format(_checks(TPMSTATE_OPTIONS), "file", ("file",)),
    "amd-sev": _Format(
        {
            "type": one_of("std", "es", "snp"),
            "no-debug": check_boolean,
            "no-key-sharing": check_boolean,
            "allow-smt": check_boolean,
            "kernel-hashes": check_boolean,
        },
        "type",
        ("type",),
    ),
    "virtiofs[n]": _Format(
        {
            "dirid": matching(r"[a-zA-Z][\w\-]+"),
            "cache": one_of("auto", "always", "metadata", "never"),
            "direct-io": check_boolean,
            "expose-acl": check_boolean,
            "expose-xattr": check_boolean,
        },
        "dirid",
        ("dirid",),
    ),
}
_KINDS: Mapping[str, str] = {
    "smbios1": "smbios",
    "rng0": "rng",
    "audio0": "audio",
}
_NUMBERED = re.compile(r"(net|numa|usb|hostpci|virtiofs)\d+", re.ASCII)
_LISTS: Mapping[str, Check] = {
    "affinity": matching(r"\s*\d{1,9}(?:-\d{1,9})?(?:\s*,\s*\d{1,9}(?:-\d{1,9})?)*\s*"),
    "name": _check_dns_name,
    "hotplug": matching(
        r"[01]|(?:network|disk|cpu|memory|usb|cloudinit)"
        r"(?:[,;\s]+(?:network|disk|cpu|memory|usb|cloudinit))*"
    ),
}
_UNDEFINED = "property is not defined in schema and the schema does not allow additional"


def _kind(key: str) -> str:
    match = _NUMBERED.fullmatch(key)
    return f"{match[1]}[n]" if match is not None else _KINDS.get(key, key)


def check_property(key: str, value: str) -> str:
    """Returns why Proxmox drops a setting of a known form, empty if it does not."""
    kind = _kind(key)
    if kind in _LISTS:
        return _LISTS[kind](value)
    if kind not in _FORMATS:
        return ""
    reason = _parse(kind, value)[1]
    return f"format error\n{reason}" if reason else ""


def read_properties(key: str, value: str) -> Properties:
    """Returns the parts of a setting that `check_property` finds nothing wrong with."""
    return _parse(_kind(key), value)[0]


@lru_cache(maxsize=256)
def _parse(kind: str, value: str) -> tuple[Properties, str]:
    """Returns the parts and what is wrong; asked for twice, on reading and on printing."""
    known = _FORMATS[kind]
    parts: dict[str, str] = {}
    for key, text in _split(kind, value):
        if not key:
            why = "value without key, but schema does not define a default key"
            return parts, why if text else "missing key in comma-separated list property"
        if key in parts:
            return parts, f"duplicate key in comma-separated list property: {key}"
        parts[key] = text
    reasons = []
    for key, text in parts.items():
        check = known.options.get(key)
        reason = check(text) if check is not None else f"{_UNDEFINED} properties"
        if reason:
            reasons.append(f"{key}: {reason}")
    reasons += [
        f"{key}: property is missing and it is not optional"
        for key in known.required
        if key not in parts
    ]
    return parts, "\n".join(reasons)


def _split(kind: str, value: str) -> Iterator[tuple[str, str]]:
    """Yields the parts by their own names; one without a name is the default, if there is one."""
    default = _FORMATS[kind].default
    for piece in value.split(","):
        key, equals, text = piece.strip().partition("=")
        if not equals:
            if key:
                yield default, key
        elif not key:
            yield "", ""
        elif kind == "net[n]" and key in _NIC_MODELS:
            # A model with an address stands for both of them.
            yield "model", key
            yield "macaddr", text
        elif key == "volume" and default == "file":
            yield default, text
        else:
            yield key, text
