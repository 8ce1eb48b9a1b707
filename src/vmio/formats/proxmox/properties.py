"""The settings that are lists of `key=value`, besides the drives, and their valid options.

Source: qm.conf(5) of Proxmox VE 9 and qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from vmio.formats.keyval import Part
from vmio.formats.proxmox.cpu_models import ARM_MODELS, BUILT_IN, VENDORS, VM_FLAGS
from vmio.formats.proxmox.perl import is_true, matches
from vmio.formats.proxmox.schema import (
    DRIVE_COUNTS,
    EFIDISK,
    TPMSTATE,
    UNUSED,
    Check,
    Format,
    Option,
    any_text,
    at_least,
    between,
    check_boolean,
    check_integer,
    check_number,
    check_url_encoded,
    check_volume_id,
    formatted,
    is_numbered,
    matching,
    one_of,
    read_parts,
    render_errors,
)
from vmio.model.source import Span
from vmio.patterns import compile_late
from vmio.values import replace

__all__ = ["Properties", "check_property", "read_properties", "split_list"]

Properties = Mapping[str, str]
"""A setting's parts by their own names, aliases resolved."""


def _list(
    checks: Mapping[str, Check],
    default: str = "",
    required: tuple[str, ...] = (),
    aliases: Mapping[str, Option] | None = None,
    check: Callable[[Mapping[str, Part]], str] | None = None,
) -> Format:
    options = {name: Option(check) for name, check in checks.items()}
    return Format({**options, **(aliases or {})}, default, required, check)


def split_list(text: str) -> list[str]:
    """Returns the items of a text, separated by commas, semicolons or blanks."""
    return [item for item in re.split(r"[,;\s]+", text, flags=re.ASCII) if item]


def _each(check: Check) -> Check:
    """Returns a check for a list whose every item has to pass."""

    def checked(value: str) -> str:
        return next(filter(None, map(check, split_list(value))), "")

    return checked


def _check_boot_device(value: str) -> str:
    return "" if is_numbered(value, _BOOT_DEVICES) else f"invalid boot device '{value}'"


def _check_boot_disk(value: str) -> str:
    return "" if is_numbered(value, _DRIVES) else f"invalid boot disk '{value}'"


def _check_mac(value: str) -> str:
    if matches(_MAC, value):
        return ""
    return "value does not look like a valid unicast MAC address"


def _check_dns_name(value: str) -> str:
    if all(matches(_DNS_LABEL, label) for label in value.split(".")):
        return ""
    return "value does not look like a valid DNS name"


def _check_bridge(value: str) -> str:
    return "" if matches(_BRIDGE, value) else f"invalid bridge ID '{value}'"


def _check_config_id(value: str) -> str:
    return "" if matches(_CONFIG_ID, value) else f"invalid configuration ID '{value}'"


def _check_storage_id(value: str) -> str:
    if matches(_STORAGE_ID, value):
        return ""
    return f"storage ID '{value}' contains illegal characters"


def _check_tag(value: str) -> str:
    return "" if matches(_TAG, value) else "invalid characters in tag"


def _check_hotplug(value: str) -> str:
    unknown = [item for item in split_list(value) if item not in _HOTPLUG]
    return f"invalid hotplug feature '{unknown[0]}'" if unknown and value not in {"0", "1"} else ""


def _check_cpu_set(value: str) -> str:
    for part in value.rstrip(",").split(",") if value.rstrip(",") else ():
        match = matches(_CPU_RANGE, part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            return "unable to parse cpuset option"
    return ""


def _check_startup(value: str) -> str:
    parts = [part for part in value.split(",") if part.strip()]
    is_good = is_true(value) and all(matches(_STARTUP, part) for part in parts)
    return "" if is_good else "unable to parse startup options"


def _is_ip(value: str, version: int) -> bool:
    from ipaddress import ip_address

    try:
        return "%" not in value and ip_address(value).version == version
    except ValueError:
        return False


def _check_ip(version: int) -> Check:
    def check(value: str) -> str:
        good = _is_ip(value, version)
        return "" if good else f"value does not look like a valid IPv{version} address"

    return check


def _check_ip_config(version: int, *words: str) -> Check:
    """Returns a check for a word, or an address with its prefix length."""

    def check(value: str) -> str:
        address, _, length = value.partition("/")
        is_length = matches(_IP_LENGTH, length) and int(length) > _LEAST_IP_LENGTH
        if value in words:
            return ""
        if is_length and int(length) <= _IP_BITS[version] and _is_ip(address, version):
            return ""
        return f"value does not look like a valid ipv{version} network configuration"

    return check


def _check_address(value: str) -> str:
    if _is_ip(value, 4) or _is_ip(value, 6) or not _check_dns_name(value):
        return ""
    return f"value does not look like a valid address: {value}"


def _check_phys_bits(value: str) -> str:
    if value == "host" or (matches(_PHYS_BITS, value) and _LEAST_BITS <= int(value) <= _MOST_BITS):
        return ""
    return "value must be an integer between 8 and 64 or 'host'"


def _check_cpu(parts: Mapping[str, Part]) -> str:
    """Returns why a VM cannot have such a processor, such as options only for custom models."""
    model = parts["cputype"].value if "cputype" in parts else ""
    if not is_true(model):
        return "CPU is missing cputype"
    if model not in _CPU_MODELS and not model.startswith("custom-"):
        return f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)"
    flags = parts["flags"].value.split(";") if "flags" in parts else ()
    if any(flag[1:] not in VM_FLAGS for flag in flags):
        return f"VM-specific CPU flags must be a subset of: {', '.join(sorted(VM_FLAGS))}"
    if "reported-model" in parts:
        return "Property 'reported-model' not allowed in VM-specific CPU config."
    return ""


_DRIVES = frozenset({*DRIVE_COUNTS, "efidisk", "tpmstate"})
_BOOT_DEVICES = frozenset({*DRIVE_COUNTS, "net", "usb", "hostpci"})
_HOTPLUG = frozenset({"network", "disk", "cpu", "memory", "usb", "cloudinit"})
_DNS_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?"
_BRIDGE = r"[-_.\w]+"
_CONFIG_ID = r"[a-zA-Z][a-zA-Z0-9_-]+"
_STORAGE_ID = r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*"
_CPU_RANGE = r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*"
_STARTUP = r"(?:order=)?\d+|(?:up|down)=\d+"
_IP_LENGTH = r"\d{1,3}"
_LEAST_IP_LENGTH = 7
_IP_BITS = {4: 32, 6: 128}
_PHYS_BITS = r"\d{1,2}"
_LEAST_BITS, _MOST_BITS = 8, 64
_CPU_MODELS = frozenset({*VENDORS, *ARM_MODELS, *BUILT_IN})
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
_MAC = r"[0-9a-fA-F][02468aceACE](?::[0-9a-fA-F]{2}){5}"
_HEX_ID = matching(r"0x[0-9a-fA-F]{4}")
_CONFIG_NAME = formatted(_check_config_id)
_NODES = matching(r"\d{1,9}(?:-\d{1,9})?(?:;\d{1,9}(?:-\d{1,9})?)*")
_CPU_FLAG = r"[+-][a-zA-Z0-9\-_.]+"
_PCI = r"(?:[0-9a-f]{4,}:)?[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-9a-f])?"
_CPU: Mapping[str, Check] = {
    "cputype": any_text,
    "reported-model": one_of(*sorted(VENDORS, key=str.lower)),
    "hidden": check_boolean,
    "hv-vendor-id": matching(r"[a-zA-Z0-9]{1,12}"),
    "flags": matching(rf"{_CPU_FLAG}(?:;{_CPU_FLAG})*"),
    "phys-bits": formatted(_check_phys_bits),
    "guest-phys-bits": between(32, 64),
    "level": between(1, 2147483647),
}
_MACHINE_TYPE = matching(
    r"pc|pc(?:-i440fx)?-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?|q35"
    r"|pc-q35-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?|virt(?:-\d+(?:\.\d+)+)?(?:\+pve\d+)?",
    max_length=40,
)
_FORMATS: Mapping[str, Format] = {
    "net[n]": _list(
        {
            "model": one_of(*_NIC_MODELS),
            "macaddr": formatted(_check_mac),
            "bridge": formatted(_check_bridge),
            "firewall": check_boolean,
            "host-tunnel": check_boolean,
            "link_down": check_boolean,
            "mtu": between(1, 65520),
            "queues": between(0, 64),
            "rate": at_least(0, check_number),
            "tag": between(1, 4094),
            "trunks": matching(r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*"),
        },
        "model",
        ("model",),
        dict.fromkeys(_NIC_MODELS, Option(any_text, "macaddr", "model")),
    ),
    "cpu": _list(_CPU, "cputype", check=_check_cpu),
    "vga": _list(
        {
            "type": one_of(
                "cirrus",
                "qxl",
                "qxl2",
                "qxl3",
                "qxl4",
                "none",
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
    "agent": _list(
        {
            "enabled": check_boolean,
            "fstrim_cloned_disks": check_boolean,
            "freeze-fs": check_boolean,
            "type": one_of("virtio", "isa"),
        },
        "enabled",
        ("enabled",),
        dict.fromkeys(("freeze-fs-on-backup", "guest-fsfreeze"), Option(any_text, "freeze-fs")),
    ),
    "machine": _list(
        {
            "type": _MACHINE_TYPE,
            "viommu": one_of("intel", "virtio"),
            "aw-bits": between(32, 64, check_number),
            "enable-s3": check_boolean,
            "enable-s4": check_boolean,
        },
        "type",
    ),
    "boot": _list(
        {
            "legacy": matching(r"[acdn]{1,4}"),
            "order": formatted(_each(_check_boot_device)),
        },
        "legacy",
    ),
    "memory": _list({"current": at_least(16)}, "current", ("current",)),
    "numa[n]": _list(
        {
            "cpus": _NODES,
            "hostnodes": _NODES,
            "memory": check_number,
            "policy": one_of("preferred", "bind", "interleave"),
        },
        required=("cpus",),
    ),
    "usb[n]": _list(
        {
            "host": matching(
                r"[Ss][Pp][Ii][Cc][Ee]|(?:0x)?[0-9A-Fa-f]{4}:(?:0x)?[0-9A-Fa-f]{4}|\d+-\d+(?:\.\d+)*"
            ),
            "mapping": _CONFIG_NAME,
            "usb3": check_boolean,
        },
        "host",
    ),
    "hostpci[n]": _list(
        {
            "host": matching(rf"{_PCI}(?:;{_PCI})*"),
            "mapping": _CONFIG_NAME,
            "mdev": matching(r"[^/.:]+"),
            "driver": one_of("vfio", "keep"),
            "pcie": check_boolean,
            "rombar": check_boolean,
            "romfile": matching(r"[^,;]+"),
            "x-vga": check_boolean,
            "legacy-igd": check_boolean,
            "vendor-id": _HEX_ID,
            "device-id": _HEX_ID,
            "sub-vendor-id": _HEX_ID,
            "sub-device-id": _HEX_ID,
        },
        "host",
    ),
    "rng": _list(
        {
            "source": one_of("/dev/urandom", "/dev/random", "/dev/hwrng"),
            "max_bytes": check_integer,
            "period": check_integer,
        },
        "source",
        ("source",),
    ),
    "audio": _list(
        {
            "device": one_of("ich9-intel-hda", "intel-hda", "AC97"),
            "driver": one_of("spice", "none"),
        },
        required=("device",),
    ),
    "watchdog": _list(
        {
            "model": one_of("i6300esb", "ib700"),
            "action": one_of("reset", "shutdown", "poweroff", "pause", "debug", "none"),
        },
        "model",
    ),
    "ivshmem": _list(
        {"size": at_least(1), "name": matching(r"[a-zA-Z0-9\-]+")}, required=("size",)
    ),
    "spice_enhancements": _list(
        {"foldersharing": check_boolean, "videostreaming": one_of("off", "all", "filter")}
    ),
    "smbios": _list(
        {
            "uuid": matching(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
            "base64": check_boolean,
        }
        | dict.fromkeys(
            ("family", "manufacturer", "product", "serial", "sku", "version"),
            matching(r"[A-Za-z0-9+/]+={0,2}"),
        )
    ),
    "efidisk0": EFIDISK,
    "tpmstate0": TPMSTATE,
    "unused[n]": UNUSED,
    "cicustom": _list(
        dict.fromkeys(("meta", "network", "user", "vendor"), formatted(check_volume_id))
    ),
    "ipconfig[n]": replace(
        _list(
            {
                "ip": formatted(_check_ip_config(4, "dhcp", "manual")),
                "gw": formatted(_check_ip(4)),
                "ip6": formatted(_check_ip_config(6, "auto", "dhcp", "manual")),
                "gw6": formatted(_check_ip(6)),
            },
        ),
        companions=(("gw", "ip"), ("gw6", "ip6")),
    ),
    "intel-tdx": _list(
        {
            "type": one_of("tdx"),
            "attestation": check_boolean,
            "vsock-cid": at_least(2),
            "vsock-port": at_least(0),
        },
        "type",
        ("type", "attestation"),
    ),
    "meta": _list(
        {"ctime": at_least(0), "creation-qemu": matching(r"\d+(?:\.\d+)+")},
    ),
    "amd-sev": _list(
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
    "virtiofs[n]": _list(
        {
            "dirid": _CONFIG_NAME,
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
    "runningmachine": "machine",
}
_NUMBERED = compile_late(r"(hostpci|ipconfig|net|numa|unused|usb|virtiofs)\d+", re.ASCII)
_OF_WHOLE: Mapping[str, Check] = {
    "affinity": _check_cpu_set,
    "bootdisk": _check_boot_disk,
    "hookscript": check_volume_id,
    "hotplug": _check_hotplug,
    "name": _check_dns_name,
    "nameserver": _each(_check_address),
    "parent": _check_config_id,
    "sshkeys": check_url_encoded,
    "startup": _check_startup,
    "tags": _each(_check_tag),
    "vmstate": check_volume_id,
    "vmstatestorage": _check_storage_id,
}
"""The settings that are one text of a certain form, not a list of options."""


@lru_cache(maxsize=1024)
def _kind(key: str) -> str:
    match = _NUMBERED.fullmatch(key)
    return f"{match[1]}[n]" if match is not None else _KINDS.get(key, key)


def check_property(key: str, value: str) -> str:
    """Returns why Proxmox drops a setting of a known form; empty if it does not."""
    if key in _OF_WHOLE:
        return _OF_WHOLE[key](value)
    kind = _kind(key)
    return _parse(kind, value)[1] if kind in _FORMATS else ""


def read_properties(key: str, value: str) -> Properties:
    """Returns the parts of a setting in which `check_property` finds no fault."""
    return _parse(_kind(key), value)[0]


_WHOLE, _INNER = Span(0, 1), Span(1, 1)
"""Placeholders for places that are not needed: with a key, a value is not the whole part."""


def _split_text(value: str) -> Iterator[Part]:
    """Yields the pieces as `split_parts` does, without their places."""
    for piece in value.split(","):
        if piece and not piece.isspace():
            key, equals, text = piece.partition("=")
            yield Part(key, text, _WHOLE, _INNER) if equals else Part("", key, _WHOLE, _WHOLE)


@lru_cache(maxsize=256)
def _parse(kind: str, value: str) -> tuple[Properties, str]:
    """Returns the parts and the faults; called twice, on reading and on printing."""
    parts, errors = read_parts(_split_text(value), _FORMATS[kind])
    return {name: part.value for name, part in parts.items()}, render_errors(errors)
